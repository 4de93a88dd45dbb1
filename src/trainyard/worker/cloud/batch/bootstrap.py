"""How a Batch job begins in an image that has nothing of ours: the command is this text.

Batch stages no files and takes a command of some 8,000 characters at most, so `python3 -c BOOTSTRAP WORKER
MANIFEST VERB WORKER_HASH MANIFEST_HASH` fetches the worker from S3 with the job's role and becomes it, where
it is what was sent. Standard library alone, from Python 3.8 on; older ones parse it, and say so.
"""

from __future__ import annotations

from ...protocol import RETRY_STATUS

BOOTSTRAP = r'''"""Fetch trainyard's worker from S3 with the job's role, and become it."""
import datetime, hashlib, hmac, json, os, re, signal, ssl, sys, tempfile, time
import urllib.error, urllib.parse, urllib.request as web

worker, manifest, verb, recorded = sys.argv[1:5]
env = os.environ.get


def fail(text, status=1):
    sys.stderr.write("trainyard: " + " ".join(text.split()) + "\n")
    sys.exit(status)


def fetch(what, url, headers, opener):
    for pause in (0.2, 0.5, 1, 2, 4, 8, 0):
        try:
            with opener.open(web.Request(url, headers=headers), timeout=30) as answer:
                return answer.read()
        except urllib.error.HTTPError as error:
            said = re.sub("<[^>]*>", " ", error.read(2000).decode("utf-8", "replace"))
            text = "status %d %s" % (error.code, said.strip())
            if error.code < 500 and error.code != 429:
                fail("%s cannot be had (%s); see that the job's role may read it" % (what, text))
        except Exception as error:
            text = str(error)
        time.sleep(pause)
    cure = "see that the job's network leads there, and that the image has CA certificates"
    # Batch tries again after this.
    fail("%s cannot be had (%s); %s" % (what, text, cure), RETRY_STATUS)


def credentials():
    url = env("AWS_CONTAINER_CREDENTIALS_FULL_URI", "")
    if env("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"):
        url = "http://169.254.170.2" + env("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI")
    if not url:
        if not (env("AWS_ACCESS_KEY_ID") and env("AWS_SECRET_ACCESS_KEY")):
            fail("no AWS credentials; give the job definition a job role")
        return env("AWS_ACCESS_KEY_ID"), env("AWS_SECRET_ACCESS_KEY"), env("AWS_SESSION_TOKEN")
    token = env("AWS_CONTAINER_AUTHORIZATION_TOKEN", "")
    if env("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"):
        with open(env("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE")) as stream:
            token = stream.read().strip()
    headers, direct = {"Authorization": token} if token else {}, web.build_opener(web.ProxyHandler({}))
    found = json.loads(fetch("the job role's credentials", url, headers, direct).decode())
    return found["AccessKeyId"], found["SecretAccessKey"], found.get("Token")


def signed(url, region):
    """The headers of a GET, by Signature Version 4."""
    access, secret, token = credentials()
    parts = urllib.parse.urlsplit(url)
    now = datetime.datetime.now(datetime.timezone.utc).strftime("%Y%m%dT%H%M%SZ")
    headers = {"host": parts.netloc, "x-amz-content-sha256": "UNSIGNED-PAYLOAD", "x-amz-date": now}
    if token:
        headers["x-amz-security-token"] = token
    names = ";".join(sorted(headers))
    lines = ["%s:%s\n" % pair for pair in sorted(headers.items())]
    request = "\n".join(["GET", parts.path, "", "".join(lines), names, "UNSIGNED-PAYLOAD"])
    scope = [now[:8], region, "s3", "aws4_request"]
    digest = hashlib.sha256(request.encode()).hexdigest()
    key = ("AWS4" + secret).encode()
    for part in scope + ["\n".join(["AWS4-HMAC-SHA256", now, "/".join(scope), digest])]:
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    form = "AWS4-HMAC-SHA256 Credential=%s/%s, SignedHeaders=%s, Signature=%s"
    headers["Authorization"] = form % (access, "/".join(scope), names, key.hex())
    return headers


if sys.version_info < (3, 8):
    fail("python3 of this image is %d.%d; use an image with 3.8 or later" % sys.version_info[:2])
# Process 1 ignores SIGTERM by default.
signal.signal(signal.SIGTERM, lambda *_: os._exit(143))
bucket, _, path = worker[5:].partition("/")
region = env("TRAINYARD_REGION") or fail("TRAINYARD_REGION is not set")
base = env("AWS_ENDPOINT_URL_S3") or env("AWS_ENDPOINT_URL") or ""
domain = "amazonaws.com" + (".cn" if region.startswith("cn-") else "")
if base:
    base = base.rstrip("/") + "/" + bucket
else:
    host = "s3.%s.%s" % (region, domain)
    base = "https://" + (host + "/" + bucket if "." in bucket else bucket + "." + host)
url = base + "/" + urllib.parse.quote(path, safe="/~")
trust = ssl.create_default_context(cafile=env("AWS_CA_BUNDLE") or None)
body = fetch(worker, url, signed(url, region), web.build_opener(web.HTTPSHandler(context=trust)))
found = hashlib.sha256(body).hexdigest()
if found != recorded:
    fail("%s is not what was recorded: its hash is %s, and %s was recorded" % (worker, found, recorded))
os.environ["TRAINYARD_FOLDER"] = folder = tempfile.mkdtemp(prefix="trainyard-")
program = os.path.join(folder, "worker.pyz")
with open(program, "wb") as stream:
    stream.write(body)
os.execv(sys.executable, [sys.executable, program, "batch", verb, manifest] + sys.argv[5:])
'''.replace("RETRY_STATUS", str(RETRY_STATUS))
"""The text: arguments are the `s3://` addresses of the worker and of a manifest, a verb, and the hashes
(SHA-256, hexadecimal) of the first two."""
