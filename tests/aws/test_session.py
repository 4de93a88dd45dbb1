"""What botocore raises, as one line with the cure."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from botocore import exceptions

from trainyard.aws.account.errors import DENIED, denial, person, statement_of
from trainyard.aws.account.session import Session, translated
from trainyard.core.errors import AccountRefused, BadInput, TrainyardError

DENIED_TO_DEPLOYER = "User: arn:aws:iam::1:role/Deployer is not authorized to perform: sts:GetCallerIdentity"
SECRET = "a-secret-that-nobody-may-see"


@pytest.fixture(autouse=True)
def surroundings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


@pytest.fixture
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    monkeypatch.setenv("AWS_REGION", "eu-central-1")


@pytest.fixture
def refusing() -> Iterator[Any]:
    """A service on loopback that answers every request with one error, `answer`."""

    class Handler(BaseHTTPRequestHandler):
        answer = ("AccessDenied", "no", 403)
        asked = 0

        def do_POST(self) -> None:
            type(self).asked += 1
            self.rfile.read(int(self.headers["Content-Length"]))
            code, message, status = self.answer
            error = f"<Error><Code>{code}</Code><Message>{message}</Message></Error>"
            body = f"<ErrorResponse>{error}</ErrorResponse>"
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    Handler.url = f"http://127.0.0.1:{server.server_address[1]}"  # type: ignore[attr-defined]
    yield Handler
    server.shutdown()
    server.server_close()
    thread.join()


def refused(
    refusing: Any, monkeypatch: pytest.MonkeyPatch, code: str, message: str, status: int = 403
) -> TrainyardError:
    monkeypatch.setenv("AWS_ENDPOINT_URL", refusing.url)
    refusing.answer = (code, message, status)
    with pytest.raises(TrainyardError) as caught:
        Session().caller()
    return caught.value


def test_no_region(credentials: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_REGION")
    with pytest.raises(BadInput, match=r"^no AWS region is set; .*AWS_REGION$"):
        Session()


def test_region_of_the_environment_comes_first(credentials: None) -> None:
    assert Session("us-east-2").region == "us-east-2"
    assert Session("us-east-2").client("sts").meta.region_name == "us-east-2"


def test_region_of_the_profile(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "config").write_text("[profile work]\nregion = eu-west-3\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    assert Session(profile="work").region == "eu-west-3"


def test_no_credentials() -> None:
    with pytest.raises(BadInput, match=r"^no AWS credentials were found; .*aws configure"):
        Session("eu-central-1").caller()


def test_unknown_profile() -> None:
    with pytest.raises(BadInput, match=r"nobody.*AWS_PROFILE"):
        Session("eu-central-1", profile="nobody").caller()


def test_unreachable_endpoint(credentials: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    with pytest.raises(AccountRefused, match=r"^AWS cannot be reached .*HTTPS_PROXY"):
        Session().caller()


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("ExpiredToken", "aws sso login"),
        ("ExpiredTokenException", "the same command again"),
        ("RequestExpired", "have expired"),
        ("InvalidClientTokenId", "does not know these credentials"),
        ("UnrecognizedClientException", "AWS_PROFILE"),
        ("SignatureDoesNotMatch", "clock"),
        ("OptInRequired", "switched on"),
        ("SomethingNew", "sts:GetCallerIdentity was refused: no such luck"),
    ],
)
def test_refusals_say_what_to_do_and_no_secret(
    code: str, words: str, credentials: None, refusing: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    error = refused(refusing, monkeypatch, code, "no such luck")

    assert isinstance(error, AccountRefused)
    assert error.code == code
    assert words in str(error)
    assert SECRET not in str(error) and "\n" not in str(error)


def test_throttling_is_tried_again_and_then_told(
    credentials: None, refusing: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "3")

    error = refused(refusing, monkeypatch, "Throttling", "Rate exceeded", 400)

    assert "AWS throttles sts:GetCallerIdentity" in str(error)
    assert refusing.asked == 3


@pytest.mark.parametrize("code", sorted(DENIED))
def test_missing_permission_names_who_what_where_and_the_statement(
    code: str, credentials: None, refusing: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    message = (
        "User: arn:aws:sts::123456789012:assumed-role/Deployer/ana is not authorized to perform:"
        " ec2:CreateVpc on resource: arn:aws:ec2:eu-central-1:123456789012:vpc/* because no policy allows it"
    )
    error = refused(refusing, monkeypatch, code, message)

    assert str(error).startswith(
        "role Deployer may not ec2:CreateVpc on arn:aws:ec2:eu-central-1:123456789012:vpc/*;"
        " add the statements Network* of the policy in docs/deploy.md"
    )


@pytest.mark.parametrize(
    ("why", "cure"),
    [
        ("with an explicit deny in a service control policy", "organisation"),
        ("because no permissions boundary allows the ec2:CreateVpc action", "permissions boundary"),
        ("with an explicit deny in an identity-based policy", "forbids it expressly"),
    ],
)
def test_denials_that_no_statement_cures_say_so(why: str, cure: str) -> None:
    found = denial(
        f"User: arn:aws:iam::1:user/ana is not authorized to perform: ec2:CreateVpc on resource: x {why}"
    )
    assert found is not None
    assert (found.who, found.action, found.resource) == ("user ana", "ec2:CreateVpc", "x")
    assert cure in found.cure


def test_no_denial_where_the_message_is_about_something_else() -> None:
    assert denial("The bucket does not exist") is None


@pytest.mark.parametrize(
    ("arn", "name"),
    [
        ("arn:aws:iam::123456789012:user/team/ana", "user ana"),
        ("arn:aws:iam::123456789012:role/Deployer", "role Deployer"),
        ("arn:aws-cn:sts::123456789012:assumed-role/Deployer/x@example.com", "role Deployer"),
        ("arn:aws:iam::123456789012:root", "arn:aws:iam::123456789012:root"),
    ],
)
def test_callers_are_called_as_people_call_them(arn: str, name: str) -> None:
    assert person(arn) == name


def test_service_linked_roles_have_a_statement_of_their_own() -> None:
    assert statement_of("iam:CreateServiceLinkedRole") == "ServiceLinkedRoles"
    assert statement_of("iam:CreateRole") == "Roles"


@pytest.mark.parametrize(
    ("error", "kind", "words"),
    [
        (exceptions.UnauthorizedSSOTokenError(), BadInput, "aws sso login"),
        (exceptions.SSOTokenLoadError(error_msg="x"), BadInput, "aws sso login"),
        (exceptions.TokenRetrievalError(provider="sso", error_msg="x"), BadInput, "aws sso login"),
        (exceptions.ReadTimeoutError(endpoint_url="http://x"), AccountRefused, "network"),
        (exceptions.SSLError(endpoint_url="http://x", error="bad"), AccountRefused, "AWS_CA_BUNDLE"),
        (exceptions.NoRegionError(), BadInput, "AWS_REGION"),
    ],
)
def test_errors_of_botocores_own(error: Exception, kind: type[Exception], words: str) -> None:
    with pytest.raises(kind, match=words), translated():
        raise error


def test_bugs_of_ours_stay_bugs() -> None:
    with pytest.raises(exceptions.ParamValidationError), translated():
        raise exceptions.ParamValidationError(report="x")
    with pytest.raises(KeyError), translated():
        raise KeyError("x")


def test_without_boto3_it_says_what_to_install() -> None:
    program = (
        "import sys; sys.modules['botocore'] = None\n"
        "from trainyard.aws.account.session import Session\n"
        "from trainyard.core.errors import BadInput\n"
        "try:\n    Session('eu-central-1')\nexcept BadInput as error:\n    print(error)"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert 'pip install "trainyard[aws]"' in result.stdout
    assert 'pip install "trainyard[deploy]"' in result.stdout


@pytest.mark.parametrize(
    ("action", "cure"),
    [
        ("sagemaker:CreateTrainingJob", "the environment's submitter policy"),
        ("s3:PutObject", "the environment's submitter policy"),
        ("ec2:CreateVpc", "the statements Network*"),
    ],
)
def test_who_may_not_submit_is_told_of_another_policy_than_who_may_not_deploy(action: str, cure: str) -> None:
    told = f'User: arn:aws:iam::1:user/ana is not authorized to perform: {action} on resource: "arn:x"'
    found = denial(told)
    assert found is not None and cure in found.cure
    assert str(found) == f"user ana may not {action} on arn:x"


def test_a_session_with_credentials_of_its_own_goes_by_nothing_else(
    refusing: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "config").write_text("[broken")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    for name, value in {
        "AWS_PROFILE": "nobody",
        "AWS_ACCESS_KEY_ID": "AKIAOTHERS",
        "AWS_ENDPOINT_URL": "http://127.0.0.1:1",
        "AWS_USE_FIPS_ENDPOINT": "true",
        "HTTP_PROXY": "http://127.0.0.1:1",
        "http_proxy": "http://127.0.0.1:1",
    }.items():
        monkeypatch.setenv(name, value)
    session = Session("eu-central-1", endpoint=refusing.url, credentials=("mine", SECRET))
    with pytest.raises(AccountRefused, match="role Deployer may not"):
        refusing.answer = ("AccessDenied", DENIED_TO_DEPLOYER, 403)
        session.caller()
    assert (session.profile, session.endpoint, refusing.asked) == ("", refusing.url, 1)
    keys = session.signer()
    assert (keys.access_key, keys.secret_key) == ("mine", SECRET)


def test_operations_are_counted_and_what_is_tried_again_counts_once(
    credentials: None, refusing: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "3")
    refusing.answer = ("Throttling", "Rate exceeded", 400)
    session = Session(endpoint=refusing.url)
    for _ in range(2):
        with pytest.raises(AccountRefused):
            session.caller()
    assert session.counted == {"sts:GetCallerIdentity": 2}
    assert refusing.asked == 6


def test_credentials_that_take_a_call_to_find_do_not_hang(
    credentials: None, refusing: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    (tmp_path / "config").write_text(
        "[profile far]\nrole_arn = arn:aws:iam::1:role/far\nsource_profile = near\n"
        "[profile near]\naws_access_key_id = x\naws_secret_access_key = y\n"
    )
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_ENDPOINT_URL", refusing.url)
    refusing.answer = ("AccessDenied", "no", 403)
    session = Session(profile="far")
    for ask in (session.signer, session.caller):
        with pytest.raises(AccountRefused):
            ask()
    assert session.counted["sts:AssumeRole"] >= 1


def test_threads_share_one_client(credentials: None) -> None:
    session, found = Session(), []
    threads = [threading.Thread(target=lambda: found.append(session.client("sts"))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8 and len(set(map(id, found))) == 1


def test_signing_without_credentials_says_what_to_do() -> None:
    with pytest.raises(BadInput, match="no AWS credentials were found"):
        Session("eu-central-1").signer()
