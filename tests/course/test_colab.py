"""The notebooks, strictly compared, on the versions that Google Colab has."""
import os
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest

HERE, ROOT = Path(__file__).resolve().parent, Path(__file__).resolve().parents[2]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
pytestmark = [
    pytest.mark.skipif(not os.environ.get("CI"), reason="installs Colab's versions of Jupyter; runs where CI is set"),
    pytest.mark.skipif(sys.version_info >= (3, 14), reason="Colab's versions exist for Python 3.10 to 3.13"),
]


@pytest.fixture(scope="module")
def colab(tmp_path_factory) -> Path:
    """A Python with Colab's Jupyter, which finds torch and whatever else it lacks in this environment."""
    home = tmp_path_factory.mktemp("colab")
    venv.create(home, with_pip=True)
    python = home / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    subprocess.run([python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "nbval",
                    "-r", HERE / "colab-constraints.txt"], check=True)
    packages = subprocess.run([python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"], check=True,
                              capture_output=True, text=True).stdout.strip()
    Path(packages, "minillm-behind.pth").write_text(sysconfig.get_path("purelib"))
    return python


def run(python: Path, *arguments: object) -> subprocess.CompletedProcess:
    variables = {**os.environ, "PYTHONPATH": str(ROOT), "JUPYTER_PREFER_ENV_PATH": "1", "OMP_NUM_THREADS": "1",
                 "OMP_WAIT_POLICY": "passive", "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    command = [python, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", ROOT, *map(str, arguments)]
    return subprocess.run(command, env=variables, cwd=ROOT, capture_output=True, text=True)


def test_these_are_colabs_versions(colab):
    code = "import ipywidgets, IPython, ipykernel, numpy, torch; print(ipywidgets.__version__, IPython.__version__)"
    assert subprocess.run([colab, "-c", code], capture_output=True, text=True).stdout.split() == ["7.7.1", "7.34.0"]


def test_the_machinery_works_there(colab):
    """What meets ipywidgets, IPython or matplotlib; the explorer's many configurations and the exercises' answers are
    the same Python everywhere."""
    same = (f"--ignore-glob=*{name}.py" for name in ("test_exercises", "test_explorer", "answers"))
    done = run(colab, ROOT / "tests" / "notebook", ROOT / "tests" / "lessons", *same)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-1000:]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_the_notebook_gives_the_same_outputs_there(colab, path):
    done = run(colab, "-p", "nbval.plugin", "--nbval", "--nbval-current-env", "--nbval-cell-timeout=300", path)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-1000:]
