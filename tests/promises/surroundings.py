"""What a training script finds around it, and what it cannot reach."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from conftest import PATIENCE, Project, texts
from trainyard import BadInput, State, Yard
from trainyard.worker.contract.hyperparameters import Typed

BACKEND = """
import zipfile
INFO = "toy-1.0.dist-info/"
FILES = {
    "toymodule.py": "value = 'installed'",
    INFO + "METADATA": "Metadata-Version: 2.1\\nName: toy\\nVersion: 1.0\\n",
    INFO + "WHEEL": "Wheel-Version: 1.0\\nGenerator: toy\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n",
}
def build_wheel(folder, settings=None, metadata=None):
    name = "toy-1.0-py3-none-any.whl"
    record = "".join(f"{path},,\\n" for path in [*FILES, INFO + "RECORD"])
    with zipfile.ZipFile(f"{folder}/{name}", "w") as wheel:
        for path, text in {**FILES, INFO + "RECORD": record}.items():
            wheel.writestr(path, text)
    return name
"""
"""Builds the wheel of a package without anything from an index."""

TELL = "import json, os, sys\nprint(json.dumps({expression}))\n"


def tell(yard: Yard, project: Project, expression: str, **options: Any) -> Any:
    """What the expression is worth inside of a training script."""
    run = yard.train(project.training(TELL.replace("{expression}", expression), **options))
    assert run.wait(timeout=PATIENCE).state is State.SUCCEEDED, (run.reason, texts(run))
    return json.loads(texts(run)[-1])


class SurroundingPromises:
    def test_stdin_is_empty(self, yard: Yard, project: Project) -> None:
        assert tell(yard, project, "[sys.stdin.read(), sys.stdin.isatty()]") == ["", False]

    def test_a_secret_of_the_submitter_is_not_seen(
        self, yard: Yard, project: Project, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("MY_API_KEY", "hunter2-hunter2")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hunter2-hunter2")
        seen = tell(yard, project, "dict(os.environ)")
        assert "hunter2-hunter2" not in json.dumps(seen)

    def test_the_environment_of_the_job_is_seen(self, yard: Yard, project: Project) -> None:
        environment = {"GREETING": "hello there", "OMP_NUM_THREADS": "1"}
        seen = tell(yard, project, "dict(os.environ)", environment=environment)
        assert environment.items() <= seen.items()
        assert "PATH" in seen

    def test_hyperparameters_are_arguments_and_a_file(self, yard: Yard, project: Project) -> None:
        values = {"epochs": 3, "rate": Typed("5e-1"), "name": "a b", "flag": True, "sizes": [1, {"a": 2}]}
        file = "json.load(open(os.environ['SM_INPUT_CONFIG_DIR'] + '/hyperparameters.json'))"
        seen = f"[sys.argv[1:], json.loads(os.environ['SM_HPS']), {file}]"
        arguments, typed, strings = tell(yard, project, seen, hyperparameters={**values, "z": "-a b"})
        assert arguments.pop() == "-z-a b"
        pairs = dict(zip(arguments[::2], arguments[1::2], strict=True))
        assert pairs.pop("--sizes") == "[1, {'a': 2}]"
        assert pairs == {"--epochs": "3", "--rate": "5e-1", "--name": "a b", "--flag": "True"}
        assert typed == {**values, "rate": 0.5, "z": "-a b"}
        values["z"] = "-a b"
        assert set(strings) == set(values) and all(isinstance(value, str) for value in strings.values())

    def test_output_is_not_buffered(self, yard: Yard, project: Project) -> None:
        assert tell(yard, project, "os.environ.get('PYTHONUNBUFFERED')") == "1"

    def test_the_working_folder_is_a_private_copy(self, yard: Yard, project: Project) -> None:
        script = """
import os, sys
print(sorted(os.listdir(".")))
open("scratch", "w").close()
with open("helper.py", "a") as file: file.write("broken")
sys.exit(1)
"""
        project.write("helper.py", "value = 1\n")
        run = yard.train(project.training(script, retries=1)).wait(timeout=PATIENCE)
        assert [text for text in texts(run) if text.startswith("[")] == ["['helper.py', 'train.py']"] * 2
        assert sorted(path.name for path in project.folder.iterdir()) == ["helper.py", "train.py"]
        assert (project.folder / "helper.py").read_text() == "value = 1\n"

    def test_modules_beside_the_script_are_imported(self, yard: Yard, project: Project) -> None:
        project.write("package/inner.py", "value = 'inner'\n")
        project.write("package/__init__.py", "")
        run = yard.train(project.training("from package.inner import value\nprint(value)"))
        assert run.wait(timeout=PATIENCE).state is State.SUCCEEDED
        assert texts(run) == ["inner"]

    def test_an_edit_after_the_submission_does_not_reach_the_run(self, yard: Yard, project: Project) -> None:
        script = (
            "import os, sys, helper\nprint(helper.value)\nsys.exit(os.environ['TRAINYARD_ATTEMPT'] == '1')"
        )
        project.write("helper.py", "value = 'old'\n")
        run = yard.train(project.training(script, retries=1))
        project.write("helper.py", "value = 'new'\n")
        run.wait(timeout=PATIENCE)
        assert [text for text in texts(run) if text in ("old", "new")] == ["old", "old"]

    def test_a_channel_shows_a_folder(self, yard: Yard, project: Project, tmp_path: Path) -> None:
        data = tmp_path / "data"
        (data / "deep").mkdir(parents=True)
        (data / "a.csv").write_text("x\n1\n")
        (data / "deep/b.csv").write_text("x\n2\n")
        names = "[names for _, _, names in os.walk(os.environ['SM_CHANNEL_TRAIN'])]"
        assert tell(yard, project, names, channels={"train": str(data)}) == [["a.csv"], ["b.csv"]]

    def test_a_channel_shows_what_links_lead_to_wherever_that_lies(
        self, yard: Yard, project: Project, tmp_path: Path
    ) -> None:
        data, blobs = tmp_path / "cache/snapshots/abc", tmp_path / "cache/blobs"
        (data / "deep").mkdir(parents=True)
        blobs.mkdir()
        (blobs / "b1").write_text("one")
        (data / "config").symlink_to("../../blobs/b1")
        (data / "deep/more").symlink_to("../../../blobs")
        (data / "deep/same").symlink_to("../config")
        (data / "absolute").symlink_to(blobs / "b1")
        names = ["config", "deep/more/b1", "deep/same", "absolute"]
        read = f"[open(os.environ['SM_CHANNEL_TRAIN'] + '/' + name).read() for name in {names}]"
        assert tell(yard, project, read, channels={"train": str(data)}) == ["one"] * 4

    def test_a_channel_shows_a_file(self, yard: Yard, project: Project, tmp_path: Path) -> None:
        (tmp_path / "only.csv").write_text("x\n1\n")
        expression = "open(os.path.join(os.environ['SM_CHANNEL_DATA'], 'only.csv')).read()"
        assert tell(yard, project, expression, channels={"data": str(tmp_path / "only.csv")}) == "x\n1\n"

    def test_a_channel_shows_the_version_of_a_data_set(
        self, yard: Yard, project: Project, tmp_path: Path
    ) -> None:
        source = tmp_path / "set.csv"
        source.write_text("one")
        yard.push("set", str(source))
        source.write_text("two")
        yard.push("set", str(source))
        read = "[open(os.path.join(os.environ['SM_CHANNEL_' + n], 'set.csv')).read() for n in ('OLD', 'NEW')]"
        assert tell(yard, project, read, channels={"old": "set@1", "new": "set@latest"}) == ["one", "two"]

    def test_an_unknown_data_set_is_refused_with_near_names(
        self, yard: Yard, project: Project, tmp_path: Path
    ) -> None:
        (tmp_path / "x.csv").write_text("x")
        yard.push("digits", str(tmp_path / "x.csv"))
        with pytest.raises(BadInput, match=r"train\.channels\.train.*did you mean 'digits'"):
            yard.train(project.training("", channels={"train": "digts@1"}))
        with pytest.raises(BadInput, match="the latest is digits@1"):
            yard.train(project.training("", channels={"train": "digits@7"}))
        assert yard.runs() == []

    def test_the_channels_of_a_missing_path_are_refused(self, yard: Yard, project: Project) -> None:
        with pytest.raises(BadInput, match=r"train\.channels\.train"):
            yard.train(project.training("", channels={"train": "/no/such/folder"}))
        assert yard.runs() == []

    def test_a_script_that_is_absent_is_refused(self, yard: Yard, project: Project) -> None:
        with pytest.raises(BadInput, match=r"train\.entry_script"):
            yard.train(project.training(None, entry_script="absent.py"))
        assert yard.runs() == []

    def test_a_script_that_is_left_out_of_the_source_is_refused(self, yard: Yard, project: Project) -> None:
        project.write(".trainyardignore", "train.py\n")
        with pytest.raises(BadInput, match=r"train\.entry_script"):
            yard.train(project.training(""))
        assert yard.runs() == []

    def test_a_link_within_the_source_goes_along_and_one_out_of_it_is_refused(
        self, yard: Yard, project: Project, tmp_path: Path
    ) -> None:
        project.write("lib/shared/__init__.py", "value = 'shared'\n")
        (project.folder / "shared").symlink_to("lib/shared")
        job = project.training("import shared\nprint(shared.value)")
        run = yard.train(job).wait(timeout=PATIENCE)
        assert (run.state, texts(run)) == (State.SUCCEEDED, ["shared"])

        (project.folder / "passwd").symlink_to("/etc/passwd")
        with pytest.raises(
            BadInput, match=r"passwd: is a link that leads out of the source folder, to /etc/pa"
        ):
            yard.train(job)
        assert [each.id for each in yard.runs()] == [run.id]

    def test_the_attempt_is_told_to_the_script(self, yard: Yard, project: Project) -> None:
        assert tell(yard, project, "os.environ['TRAINYARD_ATTEMPT']") == "1"

    def test_requirements_come_on_top_of_what_is_there_and_a_package_is_installed(
        self, yard: Yard, project: Project
    ) -> None:
        backend = "requires = []\nbuild-backend = 'backend'\nbackend-path = ['.']\n"
        project.write("pyproject.toml", f"[build-system]\n{backend}")
        project.write("backend.py", BACKEND)
        project.write("requirements.txt", "--no-index\npathspec\n")
        project.write("runner/__init__.py", "")
        project.write("runner/sibling.py", "value = 'a sibling'\n")
        script = """
import os, shutil, sys, pathspec, toymodule
from . import sibling
print(toymodule.value, sibling.value, sys.argv[1:])
print(shutil.which("python") == os.path.join(sys.prefix, "bin", "python"))
"""
        project.write("runner/train.py", script)
        job = project.training(None, entry_script="runner/train.py", hyperparameters={"rate": 1})
        run = yard.train(job).wait(timeout=2 * PATIENCE)
        assert run.state is State.SUCCEEDED, (run.reason, texts(run))
        assert texts(run)[-2:] == ["installed a sibling ['--rate', '1']", "True"]

    def test_an_entry_script_may_be_any_program_and_dependencies_lie_beside_it(
        self, yard: Yard, project: Project, tmp_path: Path
    ) -> None:
        project.write("train.sh", 'echo "$0 $* $OF_MINE"\nexec python -c "import shared.inner, alone"\n')
        for name in ("lib/shared/inner.py", "alone.py"):
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_text("print(__name__)\n")
        job = project.training(
            None,
            entry_script="train.sh",
            dependencies=[str(tmp_path / "lib/shared"), str(tmp_path / "alone.py")],
            hyperparameters={"rate": 0.5, "name": "a  b"},
            environment={"OF_MINE": "mine"},
        )
        run = yard.train(job).wait(timeout=PATIENCE)
        assert run.state is State.SUCCEEDED, (run.reason, texts(run))
        assert texts(run) == ["./train.sh --name a  b --rate 0.5 mine", "shared.inner", "alone"]
