"""Hold the set-up together: one source of versions, one command, one sentence for what is missing."""
from __future__ import annotations

import ast
import datetime
import importlib.metadata
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
import yaml
from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from minillm import __main__ as command
from minillm import environment

tomllib = pytest.importorskip("tomllib", reason="Python 3.10 has no TOML reader")
ROOT = environment.ROOT
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS = PROJECT["optional-dependencies"]
PYTHONS = ("3.10", "3.11", "3.12", "3.13")
COLAB = """numpy==2.1.3 matplotlib==3.10.0 seaborn==0.13.2 ipywidgets==7.7.1 torch==2.11.0 einops==0.8.2
regex==2025.11.3 pillow==11.3.0 ipython==7.34.0 traitlets==5.7.1 nbformat==5.11.1 nbclient==0.10.4
safetensors==0.8.0 sentencepiece==0.2.2 tiktoken==0.14.0 tqdm==4.67.3 huggingface_hub==1.27.0 tokenizers==0.22.2
transformers==5.15.0 peft==0.20.0 pytest==8.4.2"""  # googlecolab/backend-info, 19 August 2026, Python 3.13


def pins(python: str, platform: str = "linux") -> dict[str, str]:
    """name -> version, of constraints.txt, for one Python and platform."""
    where = {"python_version": python, "python_full_version": python + ".9", "sys_platform": platform,
             "os_name": "nt" if platform == "win32" else "posix"}
    found = {}
    for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            pin = Requirement(line)
            if pin.marker is None or pin.marker.evaluate(where):
                name = canonicalize_name(pin.name)
                assert name not in found, f"{name} is pinned twice for Python {python}"
                found[name] = str(pin.specifier).removeprefix("==")
    return found


@pytest.mark.parametrize("platform", ["linux", "darwin", "win32"])
@pytest.mark.parametrize("python", PYTHONS)
def test_every_requirement_has_one_pin_inside_its_range(python, platform):
    pinned = pins(python, platform)
    for line in [*PROJECT["dependencies"], *(line for extra in EXTRAS.values() for line in extra)]:
        requirement = Requirement(line)
        version = pinned[canonicalize_name(requirement.name)]
        assert requirement.specifier.contains(version), f"{line} does not accept its pin {version}"


def test_the_pins_are_closed_under_what_the_packages_require():
    here = f"{sys.version_info[0]}.{sys.version_info[1]}"
    pinned, left, seen = pins(here, sys.platform), ["minillm"], set()
    wanted = [Requirement(line) for line in [*PROJECT["dependencies"], *sum(EXTRAS.values(), [])]]
    while wanted:
        requirement = wanted.pop()
        name = canonicalize_name(requirement.name)
        if (name, frozenset(requirement.extras)) in seen:
            continue
        seen.add((name, frozenset(requirement.extras)))
        left.append(name)
        try:
            lines = importlib.metadata.requires(name) or []
        except importlib.metadata.PackageNotFoundError:
            continue
        for line in lines:
            more = Requirement(line)
            extras = requirement.extras or {""}
            if more.marker is None or any(more.marker.evaluate({"extra": extra}) for extra in extras):
                wanted.append(more)
    cuda = re.compile(r"nvidia-|cuda-|triton$")  # torch pins these itself
    missing = sorted({name for name in left if name not in pinned and not cuda.match(name)} - {"minillm"})
    assert len(left) > 100 and not missing


def test_nothing_is_pinned_for_nobody():
    names = {canonicalize_name(Requirement(line).name)
             for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
             if line and not line.startswith("#")}
    reached = {name for python in PYTHONS for platform in ("linux", "darwin", "win32")
               for name in pins(python, platform)}
    assert names == reached


def test_the_ranges_change_nothing_on_colab():
    image = dict(pin.split("==") for pin in COLAB.split())
    for line in [*PROJECT["dependencies"], *EXTRAS["hub"]]:
        requirement = Requirement(line)
        if requirement.name != "jaxtyping":  # absent there, and pure Python
            assert requirement.specifier.contains(image[requirement.name]), line


def test_no_range_names_one_version_only():
    assert not [line for line in [*PROJECT["dependencies"], *sum(EXTRAS.values(), [])] if "==" in line]


def test_conda_gets_the_same_versions_from_the_same_place():
    conda = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))
    pip = next(entry["pip"] for entry in conda["dependencies"] if isinstance(entry, dict))
    python = next(entry for entry in conda["dependencies"] if str(entry).startswith("python="))
    assert python.removeprefix("python=") in PYTHONS
    assert "--constraint constraints.txt" in pip
    editable = next(line for line in pip if line.startswith("--editable"))
    assert set(re.search(r"\[(.+)\]", editable).group(1).split(",")) == set(EXTRAS)
    assert all(entry == "pip" or str(entry).startswith("python=") for entry in conda["dependencies"][:-1])


def test_requirements_are_read_as_a_toml_reader_reads_them():
    for extras in [(), ("lab",), ("hub", "lab", "test")]:
        expected = [*PROJECT["dependencies"], *(line for extra in extras for line in EXTRAS[extra])]
        assert environment.requirements(extras) == expected


@pytest.mark.parametrize(("requirement", "version", "met"), [
    ("numpy>=1.24", "1.24.0", True), ("numpy>=1.24", "1.23.9", False), ("numpy>=1.24", "2.0rc1", True),
    ("ipywidgets>=7.7.1,<9", "7.7.1", True), ("ipywidgets>=7.7.1,<9", "9.0.0", False),
    ("torch>=2.6", "2.13.0+cpu", True),
    ('tomli>=2; python_version < "3.11"', "1.0", sys.version_info >= (3, 11)),
])
def test_a_requirement_is_met_by_a_version_in_its_range(monkeypatch, requirement, version, met):
    monkeypatch.setattr(importlib.metadata, "version", lambda name: version)
    assert environment.is_met(requirement) is met
    plain = Requirement(requirement)
    if plain.marker is None or Marker(str(plain.marker)).evaluate():
        assert plain.specifier.contains(version, prereleases=True) is met


def test_an_absent_package_is_not_there():
    assert not environment.is_met("no-such-package-anywhere>=1")


@pytest.fixture
def clone(tmp_path, monkeypatch):
    """A clone with nothing installed, whose pip only notes that it was called."""
    for name in ("pyproject.toml", "constraints.txt"):
        (tmp_path / name).write_bytes((ROOT / name).read_bytes())
    monkeypatch.setattr(environment, "ROOT", tmp_path)
    monkeypatch.setattr(environment, "is_met", lambda requirement: False)
    calls = []

    def make(folder):
        environment.python_of(folder).parent.mkdir(parents=True, exist_ok=True)
        environment.python_of(folder).touch()

    def install(folder, extras):
        calls.append(extras)
        environment.write_stamp(folder, extras)

    monkeypatch.setattr(environment, "make_environment", make)
    monkeypatch.setattr(environment, "install", install)
    return tmp_path, calls


def test_a_second_run_installs_nothing(clone):
    root, calls = clone
    first = environment.environment(("lab",))
    assert first == environment.environment(("lab",)) == str(environment.python_of(root / ".venv"))
    assert calls == [("lab",)]


def test_more_is_installed_beside_what_is_there(clone):
    _, calls = clone
    for extras in [("lab",), ("hub", "test"), ("lab",), ()]:
        environment.environment(extras)
    assert calls == [("lab",), ("hub", "lab", "test")]


@pytest.mark.parametrize("name", ["pyproject.toml", "constraints.txt"])
def test_new_versions_are_installed(clone, name):
    root, calls = clone
    environment.environment(("lab",))
    (root / name).write_text((root / name).read_text() + "\n# changed\n")
    environment.environment(())
    assert calls == [("lab",), ("lab",)]


def test_an_installation_that_was_cut_off_is_done_again(clone):
    root, calls = clone
    environment.environment(("lab",))
    (root / ".venv" / "minillm.json").write_text('{"digest": "half')
    environment.environment(("lab",))
    assert calls == [("lab",), ("lab",)]


def test_an_environment_that_has_everything_is_used_as_it_is(monkeypatch):
    monkeypatch.setattr(environment, "is_met", lambda requirement: True)
    monkeypatch.setattr(environment, "install", None)
    assert environment.environment(("hub", "lab", "test")) == sys.executable


@pytest.fixture
def bare(tmp_path):
    """Run minillm's clone from another folder, with a Python that has no packages: the clone's `.venv` has to do it."""
    root, away = (tmp_path / "clone").resolve(), (tmp_path / "away").resolve()
    away.mkdir()
    shutil.copytree(ROOT / "minillm", root / "minillm", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "constraints.txt"):
        shutil.copyfile(ROOT / name, root / name)
    variables = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
    variables["PYTHONPATH"] = str(root)

    def run(script: str, *words: str) -> subprocess.CompletedProcess:
        python = environment.python_of(root / ".venv")
        python.parent.mkdir(parents=True, exist_ok=True)
        python.write_text(f"#!/bin/sh\n{script}\n")
        python.chmod(0o755)
        stamp = f"from minillm import environment as e; e.write_stamp(e.ROOT / '.venv', {('hub', 'lab', 'test')})"
        subprocess.run([sys.executable, "-S", "-c", stamp], cwd=away, env=variables, check=True)
        return subprocess.run([sys.executable, "-S", "-m", "minillm", *words], cwd=away, env=variables, text=True,
                              encoding="utf-8", capture_output=True)
    return root, away, run


posix = pytest.mark.skipif(os.name != "posix", reason="the clone's Python is a shell script here")


@posix
def test_a_relative_path_means_what_it_meant_where_the_command_was_typed(bare):
    root, away, run = bare
    (root / "data").symlink_to(ROOT / "data")
    (away / "mine.txt").write_text("one and two and three and four\n" * 9, encoding="utf-8")
    learn = ["tokenize", "--tokenizer", "bpe", "--train", "mine.txt", "--vocab-size", "260", "--save", "made"]
    done = run(f'exec "{sys.executable}" "$@"', *learn)
    assert done.returncode == 0, done.stderr
    assert (away / "made" / "tokenizer.json").exists() and not (root / "made").exists()


@posix
def test_the_projects_tests_take_paths_from_where_the_command_was_typed(bare):
    root, away, run = bare
    (away / "mine.py").write_text("")
    (away / "rope").write_text("")
    said = run('pwd; printf "%s\\n" "$@"', "test", "mine.py::test_a", "tests/layers", "-k", "rope", "--ignore=mine.py",
               "-x").stdout.splitlines()
    assert said[0] == str(root)
    assert said[-6:] == [f"{away}/mine.py::test_a", "tests/layers", "-k", "rope", f"--ignore={away}/mine.py", "-x"]


@pytest.mark.parametrize("module", ["venv", "ensurepip"])
def test_a_python_without_venv_is_told_what_to_install(tmp_path, monkeypatch, module):
    find = environment.importlib.util.find_spec
    monkeypatch.setattr(environment.importlib.util, "find_spec", lambda name: None if name == module else find(name))
    with pytest.raises(environment.SetupError, match=f"no {module} module.*apt install"):
        environment.make_environment(tmp_path / ".venv")


def test_a_full_disk_is_said_before_anything_is_made(tmp_path, monkeypatch):
    monkeypatch.setattr(environment.shutil, "disk_usage", lambda path: type("Usage", (), {"free": 1.2e9}))
    with pytest.raises(environment.SetupError, match=r"needs about \d GB and .* has 1.2 GB free"):
        environment.check_room(tmp_path / ".venv")


@pytest.mark.parametrize(("said", "sentence"), [
    ("ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device", "disk is full"),
    ("WARNING: Retrying after connection broken by 'NewConnectionError(...): Name or service not known'\n"
     "ERROR: No matching distribution found for hatchling>=1.21", "cannot reach the network"),
    ("SSLError(SSLCertVerificationError(1, '[SSL: CERTIFICATE_VERIFY_FAILED]", "certificate"),
    ("ERROR: Could not find a version that satisfies the requirement torch>=2.6 (from versions: none)\n"
     "ERROR: No matching distribution found for torch>=2.6", "PyTorch has no build for Python"),
    ("ERROR: [Errno 13] Permission denied: '/opt/x'", "cannot be written"),
    ("Collecting x\nERROR: a new kind of trouble\nhint: see above", "a new kind of trouble"),
])
def test_what_pip_says_in_many_lines_is_said_in_one(said, sentence):
    explained = environment.explain(said)
    assert sentence in explained and "\n" not in explained


def test_pip_failing_leaves_no_stamp_and_says_why(tmp_path, monkeypatch):
    script = "print('Collecting torch'); print('ERROR: No space left on device'); raise SystemExit(1)"
    real = subprocess.Popen
    monkeypatch.setattr(environment.subprocess, "Popen", lambda _, **how: real([sys.executable, "-c", script], **how))
    monkeypatch.setattr(environment, "torch_index", lambda: [])
    environment.write_stamp(tmp_path, ("lab",))
    with pytest.raises(environment.SetupError, match="disk is full"):
        environment.install(tmp_path, ("lab", "test"))
    assert environment.read_stamp(tmp_path)["digest"] is None
    assert "Collecting torch" in (tmp_path / "install.log").read_text()


@pytest.mark.parametrize("reachable", [True, False])
def test_torch_without_cuda_comes_from_pytorch_where_that_can_be_reached(monkeypatch, reachable):
    class Answer:
        def close(self):
            pass

    def urlopen(url, timeout):
        assert url.startswith(environment.TORCH_CPU_INDEX) and timeout < 10
        if not reachable:
            raise OSError("no route")
        return Answer()

    monkeypatch.setattr(environment.sys, "platform", "linux")
    monkeypatch.setattr(environment, "has_nvidia_gpu", lambda: False)
    monkeypatch.setattr(environment.urllib.request, "urlopen", urlopen)
    assert environment.torch_index() == (["--extra-index-url", environment.TORCH_CPU_INDEX] if reachable else [])
    monkeypatch.setattr(environment, "has_nvidia_gpu", lambda: True)
    assert environment.torch_index() == []


def test_the_environment_can_be_made_by_plain_python_alone(tmp_path):
    env = {key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "COV"))}
    script = ("import sys; before = set(sys.modules); import minillm.__main__; "
              "print([m for m in sys.modules if m.partition('.')[0] in ('torch', 'numpy', 'tqdm', 'jaxtyping')])")
    out = subprocess.run([sys.executable, "-S", "-c", script], cwd=ROOT, env=env, capture_output=True, text=True)
    assert out.stdout.strip() == "[]", out.stderr


def test_a_learners_notebook_is_never_overwritten(tmp_path):
    source, mine = tmp_path / "notebooks", tmp_path / "mine"
    (source / "pictures").mkdir(parents=True)
    (source / "01_a.ipynb").write_text("new")
    (source / "pictures" / "x.png").write_bytes(b"x")
    (source / ".ipynb_checkpoints").mkdir()
    (source / ".ipynb_checkpoints" / "01_a.ipynb").write_text("no")
    command.personal_copy(source, mine)
    (mine / "01_a.ipynb").write_text("my answer")
    (source / "01_a.ipynb").write_text("newer")
    (source / "02_b.ipynb").write_text("added later")
    command.personal_copy(source, mine)
    texts = {str(path.relative_to(mine)): path.read_text() for path in mine.rglob("*") if path.is_file()}
    assert texts == {"01_a.ipynb": "my answer", "02_b.ipynb": "added later", os.path.join("pictures", "x.png"): "x"}


def test_fresh_keeps_the_old_copy_under_a_dated_name(tmp_path):
    source, mine = tmp_path / "notebooks", tmp_path / "mine"
    source.mkdir()
    (source / "01_a.ipynb").write_text("new")
    command.personal_copy(source, mine)
    (mine / "01_a.ipynb").write_text("my answer")
    command.personal_copy(source, mine, fresh=True, now=datetime.datetime(2026, 3, 1, 9, 30))
    assert (mine / "01_a.ipynb").read_text() == "new"
    assert (tmp_path / "mine-2026-03-01-093000" / "01_a.ipynb").read_text() == "my answer"


def test_a_personal_copy_is_not_part_of_the_project():
    ignored = subprocess.run(["git", "check-ignore", "my_notebooks/a", "my_notebooks-2026-03-01-093000/a", ".venv/a"],
                             cwd=ROOT, capture_output=True, text=True)
    if ignored.returncode == 128:
        pytest.skip("this is not a git clone")
    assert len(ignored.stdout.split()) == 3


def test_an_installed_minillm_says_where_notebooks_are(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(environment, "ROOT", tmp_path)
    assert command.main(["lab"]) == 1
    assert "clone its repository" in capsys.readouterr().err


def test_an_old_python_is_told_so(monkeypatch, capsys):
    monkeypatch.setattr(command.sys, "version_info", (3, 9, 1))
    assert command.main(["lab"]) == 1
    assert "needs Python 3.10 or newer" in capsys.readouterr().err


@pytest.mark.skipif(os.name == "nt", reason="a shell script for Debian")
def test_ci_runs_the_command_of_the_readme():
    script = (ROOT / ".ci" / "run").read_text()
    assert "-m minillm test" in script and "python -m minillm test" in (ROOT / "README.md").read_text(encoding="utf-8")
    assert subprocess.run(["bash", "-n", str(ROOT / ".ci" / "run")]).returncode == 0
    assert os.access(ROOT / ".ci" / "run", os.X_OK)


def test_the_wheel_would_carry_the_data_and_not_the_programs_that_write_it():
    built = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["hatch"]["build"]
    assert built["targets"]["wheel"]["sources"] == {"data": "minillm/_data"}
    assert set(built["targets"]["wheel"]["only-include"]) == {"minillm", "data"} and Path(ROOT / "data").is_dir()
    assert "data/making" in built["targets"]["wheel"]["exclude"]
    assert (ROOT / "data" / "making" / "__init__.py").is_file()


MODULES = {"pillow": "PIL", "ipython": "IPython", "pyyaml": "yaml", "pytest-xdist": "xdist"}    # where names differ
TOOLS = {"jupyterlab", "ruff", "pytest-xdist"}            # run as programs, imported nowhere


def imports_below(*folders: str) -> set[str]:
    """The packages that the Python files below these folders import, our own and Python's left out."""
    found = set()
    for path in (path for folder in folders for path in (ROOT / folder).rglob("*.py") if "_data" not in path.parts):
        beside = {each.stem for each in path.parent.glob("*.py")}      # what is started as a file imports by that name
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module in beside:
                continue
            if isinstance(node, ast.Import):
                found |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                found.add(node.module.partition(".")[0])
    ours = {"minillm", "tests", "data", *(path.stem for path in (ROOT / "tests").rglob("*.py"))}
    return found - set(sys.stdlib_module_names) - ours - {"tiktoken_ext"}     # comes with tiktoken


def modules(lines: list[str]) -> set[str]:
    names = [canonicalize_name(Requirement(line).name) for line in lines]
    return {MODULES.get(name, name.replace("-", "_")) for name in names if name not in TOOLS}


def test_every_declared_package_is_imported_and_every_import_declared():
    library = imports_below("minillm", "data")
    everything = library | imports_below("tests")
    declared = modules([*PROJECT["dependencies"], *sum(EXTRAS.values(), [])])
    assert not everything - declared, "say in pyproject.toml what is imported"
    assert not modules(PROJECT["dependencies"]) - library, "leave out of pyproject.toml what nothing imports"
    assert not declared - everything


@pytest.fixture
def started(bare):
    """`lab` in a clone, with a shell script for Python: the words that JupyterLab would be started with."""
    root, away, run = bare
    (root / "notebooks").mkdir()
    (root / "notebooks" / "01_a.ipynb").write_text("{}")

    def start(*words):
        return run('[ "$1" = -c ] && { case "$2" in *Trust*) echo "$@" >> signed;; esac; exit; }; '
                   'printf "%s\\n" "$JUPYTER_TOKEN" "$@"', "lab", *words)
    return root, away, start


@posix
def test_lab_signs_the_copies_that_it_makes_and_no_others(started):
    root, away, start = started
    start("--no-browser")
    assert "my_notebooks/01_a.ipynb" in (away / "signed").read_text()
    (away / "signed").unlink()
    start("--no-browser")
    assert not (away / "signed").exists(), "a learner's own file is signed by nobody but JupyterLab"


@posix
def test_lab_prints_one_address_that_opens(started):
    done = started[2]("--no-browser", "--port", "9123")
    assert done.returncode == 0, done.stderr
    token, *words = done.stdout.splitlines()
    assert f"http://localhost:9123/lab/tree/my_notebooks/01_a.ipynb?token={token}" in done.stderr and len(token) > 30
    assert "--ServerApp.use_redirect_file=False" in words and "file://" not in done.stderr
    assert "--ServerApp.answer_yes=True" in words, "Ctrl-C stops it, as is said, without a question"
    own = started[2]("--no-browser", "--IdentityProvider.token=mine")
    assert "?token=mine" in own.stderr


@posix
@pytest.mark.parametrize("words, said", [
    (["--freshh"], "there is no option --freshh; there are --no-browser"),
    (["--no-browserr"], "there is no option --no-browserr; there are"), (["--por=1"], "there is no option --por=1;"),
    (["--ip", "0.0.0.0"], "there is no option --ip;"), (["--port=70000"], "and '70000' was given"),
    (["--port", "x"], "--port takes a number from 1 to 65535, and 'x'"),
    (["02_b"], "there is no notebook '02_b' in my_notebooks/; there are 01_a")])
def test_a_mistyped_word_of_lab_is_refused_by_name(started, words, said):
    done = started[2](*words)
    assert done.returncode == 1 and said in done.stderr and "Traceback" not in done.stderr
    assert not done.stdout, "nothing was started"


@posix
@pytest.mark.parametrize("name", ["02_b", "02_b.ipynb", "notebooks/02_b.ipynb"])
def test_lab_opens_the_notebook_that_is_named(started, name):
    root, _, start = started
    (root / "notebooks" / "02_b.ipynb").write_text("{}")
    assert "/lab/tree/my_notebooks/02_b.ipynb?token=" in start(name).stderr


@posix
def test_kernels_listen_on_files_where_a_socket_can_stand_and_on_ports_elsewhere(tmp_path, monkeypatch):
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", tempfile.mkdtemp())
    assert command.takes_sockets(sys.executable) and not os.listdir(os.environ["JUPYTER_RUNTIME_DIR"])
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(tmp_path / ("long" * 20)))
    assert not command.takes_sockets(sys.executable)


def test_a_port_in_use_is_passed_over():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert command.free(port) > port


@pytest.mark.parametrize("program, said", [("/x/minillm/__main__.py", "python -m minillm train"),
                                           ("/usr/bin/minillm", "minillm train")])
def test_what_is_printed_can_be_typed(monkeypatch, program, said):
    from minillm import cli
    monkeypatch.setattr(sys, "argv", [program])
    shown = cli.overview()
    assert f"  {said} shakespeare" in shown and "python -m python" not in shown
