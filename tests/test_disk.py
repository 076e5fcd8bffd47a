"""That a file or a folder is written whole or not at all: killed anywhere, read meanwhile, by two at once."""
from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from itertools import count
from pathlib import Path

import pytest
import torch

from minillm import disk
from minillm.checkpoints import load, load_state, rehearse, save
from minillm.config import ModelConfig
from minillm.data import TokenFile
from minillm.model import Transformer
from minillm.pretrained import export_hf, load_pretrained
from minillm.tokenizers import BPETokenizer

posix = pytest.mark.skipif(os.name == "nt", reason="Windows has no fork, no umask and no such links")
BPE = BPETokenizer.train("the cat sat on the mat " * 20, 270)
OURS = dict(seal="seal", ours=lambda place: ["seal", "a", "sub/b", "old"] if (place / "seal").exists() else [])


def model(value: float = 0.0) -> Transformer:
    torch.manual_seed(0)
    m = Transformer(ModelConfig(vocab_size=BPE.vocab_size, d_model=16, n_layers=1, n_heads=2, context_length=8))
    with torch.no_grad():
        m.norm.weight.fill_(value)
    return m


def fill_folder(folder: Path, text: str) -> None:
    with disk.folder(folder, **OURS) as draft:
        (draft / "sub").mkdir()
        for name in ("seal", "a", "sub/b"):
            (draft / name).write_text(text)


def found(folder: Path) -> set[str]:
    """What a reader finds in the three files."""
    return {disk.find(folder, "seal").read_text(), disk.find(folder, "a").read_text(),
            (disk.find(folder, "sub") / "b").read_text()}


def kill_at(step: int, act) -> bool:
    """Do it in a process of its own that dies, at once and with nothing cleaned up, before its n-th touch of the disk's
    names.  False where it ended before."""
    pid = os.fork()
    if pid:
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 9
    counter = count()

    def mortal(real):
        def call(*args, **kwargs):
            if next(counter) == step:
                os._exit(9)
            return real(*args, **kwargs)
        return call

    for name in ("replace", "rename", "unlink", "mkdir", "rmdir", "chmod", "fsync"):
        setattr(os, name, mortal(getattr(os, name)))
    try:
        act()
    finally:
        os._exit(0)


@posix
def test_a_file_is_old_or_new_wherever_its_writer_dies(tmp_path):
    for step in count():
        path = disk.write(tmp_path / "x", "old")
        died = kill_at(step, lambda path=path: disk.write(path, "new" * 10_000))
        assert path.read_text() in (("old", "new" * 10_000) if died else ("new" * 10_000,))
        if not died:
            break
    assert step >= 4


@posix
@pytest.mark.parametrize("before", ["nothing", "old"])
def test_a_folder_is_old_or_new_wherever_its_writer_dies(before, tmp_path):
    seen = set()
    for step in count():
        folder = tmp_path / str(step)
        if before == "old":
            fill_folder(folder, "old")
            (folder / "old").write_text("of an earlier one")
            (folder / "notes.txt").write_text("mine")
            (folder / "sub" / "notes.txt").write_text("mine, too")
        died = kill_at(step, lambda folder=folder: fill_folder(folder, "new"))
        listing = sorted(folder.rglob("*")) if folder.exists() else []
        if disk.find(folder, "seal").exists():
            now = found(folder)
            assert now in ({"old"}, {"new"})
            seen |= now
            in_place = [folder / name for name in ("seal", "a", "sub/b")]
            if (folder / "seal").exists():  # who knows nothing of `find` sees one of the two, or no seal
                assert len({path.read_text() for path in in_place}) == 1
        else:
            assert before == "nothing"
        assert listing == (sorted(folder.rglob("*")) if folder.exists() else []), "reading wrote"
        fill_folder(folder, "last")
        assert found(folder) == {"last"}
        kept = {"notes.txt", "sub/notes.txt"} if before == "old" else set()
        names = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
        assert names == {"seal", "a", "sub/b"} | kept
        if not died:
            break
    assert step > 10 and "new" in seen and (before == "nothing" or "old" in seen)


@posix
def test_a_checkpoint_is_whole_wherever_its_writer_dies(tmp_path):
    for step in count(0, 3):
        save(model(1.0), BPE, tmp_path / "run", state={"step": 1})
        died = kill_at(step, lambda: save(model(2.0), None, tmp_path / "run", state={"step": 2}))
        m, _ = load(tmp_path / "run")
        assert m.norm.weight[0] == load_state(tmp_path / "run")["step"]
        if not died:
            break
    assert m.norm.weight[0] == 2


@posix
def test_a_program_killed_again_and_again_loses_nothing(tmp_path):
    program = """import sys
from itertools import count
from minillm import disk
for n in count():
    with disk.folder(sys.argv[1], seal="seal", ours=lambda place: ["seal", "a", "sub/b"]) as draft:
        (draft / "sub").mkdir()
        for name in ("seal", "a", "sub/b"):
            (draft / name).write_text(str(n))
    disk.write(sys.argv[2], f"{n} " * 1000)
    print(n, flush=True)"""
    folder, file = tmp_path / "run", tmp_path / "file"
    for i in range(8):
        process = subprocess.Popen([sys.executable, "-c", program, folder, file], stdout=subprocess.PIPE, text=True)
        for _ in range(3):
            process.stdout.readline()
        time.sleep(0.003 * i)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        assert len(found(folder)) == 1 and len(set(file.read_text().split())) == 1
        assert len(file.read_text().split()) == 1000
    fill_folder(folder, "last")
    assert found(folder) == {"last"} and not list(folder.glob(".*"))


@posix
def test_what_is_written_has_the_usual_rights(tmp_path):
    before = os.umask(0o027)
    try:
        save(model(), BPE, tmp_path / "run", state={"x": torch.ones(2)})
        export_hf(model(), BPE, tmp_path / "hf")
        TokenFile.write(tmp_path / "ids", [1, 2], vocab_size=9)
        BPE.save(tmp_path / "words")
    finally:
        os.umask(before)
    rights = {path: path.stat().st_mode & 0o777 for path in tmp_path.rglob("*")}
    assert len(rights) > 15
    assert {path: mode for path, mode in rights.items() if mode != (0o750 if path.is_dir() else 0o640)} == {}
    (tmp_path / "ids").chmod(0o664)  # a group's file stays one
    TokenFile.write(tmp_path / "ids", [1, 2], vocab_size=9)
    assert (tmp_path / "ids").stat().st_mode & 0o777 == 0o664


@posix
def test_links_stay_links_and_what_they_point_to_is_written(tmp_path, monkeypatch):
    (tmp_path / "disk").mkdir()
    (tmp_path / "run").symlink_to("disk")
    (tmp_path / "later").symlink_to("not-yet")
    (tmp_path / "file").symlink_to("disk/file")
    for value in (1.0, 2.0, 3.0):
        for name in ("run", "later"):
            save(model(value), None, tmp_path / name)
            assert load(tmp_path / name)[0].norm.weight[0] == value
        disk.write(tmp_path / "file", str(value))
    assert all((tmp_path / name).is_symlink() for name in ("run", "later", "file"))
    assert load(tmp_path / "disk")[0].norm.weight[0] == 3 and (tmp_path / "disk" / "file").read_text() == "3.0"
    monkeypatch.chdir(tmp_path / "run")
    for place in (".", "./", "../run", Path()):
        save(model(4.0), None, place)
        assert load(place)[0].norm.weight[0] == 4 and load(tmp_path / "disk")[0].norm.weight[0] == 4
    export_hf(model(1.0), None, tmp_path / "hf")
    (tmp_path / "hf-link").symlink_to("hf")
    export_hf(model(2.0), None, tmp_path / "hf-link")
    assert (tmp_path / "hf-link").is_symlink() and load_pretrained(tmp_path / "hf")[0].norm.weight[0] == 2


@pytest.mark.parametrize("name", ["x" * 255, "本" * 85, "a b\n'\"*[?]", ".hidden", "-r"])
def test_any_name_that_a_file_may_have_will_do(name, tmp_path):
    if os.name == "nt":
        pytest.skip("Windows allows fewer")
    assert disk.write(tmp_path / name, "one").read_text() == "one"
    assert disk.write(tmp_path / name, "two").read_text() == "two"
    assert os.listdir(tmp_path) == [name]
    save(model(1.0), None, tmp_path / "sub" / name)
    assert load(save(model(2.0), None, tmp_path / "sub" / name))[0].norm.weight[0] == 2


@posix
def test_what_is_no_file_is_written_directly(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    read = []
    reader = threading.Thread(target=lambda: read.append((tmp_path / "pipe").read_text()))
    reader.start()
    disk.write(tmp_path / "pipe", "through")
    reader.join(10)
    assert read == ["through"] and (tmp_path / "pipe").is_fifo()
    with pytest.raises(IsADirectoryError):
        disk.write(tmp_path, "a folder")


def test_an_error_within_changes_nothing(tmp_path):
    disk.write(tmp_path / "x", "old")
    fill_folder(tmp_path / "run", "old")
    for error in (ValueError, KeyboardInterrupt):
        with pytest.raises(error), disk.file(tmp_path / "x") as out:
            out.write(b"new")
            raise error
        for name in ("run", "other"):
            with pytest.raises(error), disk.folder(tmp_path / name, **OURS) as draft:
                (draft / "a").write_text("new")
                raise error
    assert found(tmp_path / "run") == {"old"} and sorted(os.listdir(tmp_path)) == ["run", "x"]
    assert sorted(os.listdir(tmp_path / "run")) == ["a", "seal", "sub"]


def test_a_full_disk_names_the_file_that_was_meant(tmp_path, monkeypatch):
    def full(handle):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left on device: .*book.txt'"):
        disk.write(tmp_path / "book.txt", "x")
    assert not list(tmp_path.iterdir())


@posix
def test_drafts_of_the_dead_are_cleared_and_those_of_the_living_kept(tmp_path):
    def age(path):
        os.utime(path, (time.time() - 2 * disk.YOUNG,) * 2)

    def die_within(manager):
        if os.fork() == 0:
            manager.__enter__()
            os._exit(9)
        os.wait()

    die_within(disk.file(tmp_path / "x"))
    die_within(disk.folder(tmp_path / "run", **OURS))
    for draft in (*tmp_path.glob(".*.part"), *(tmp_path / "run").glob(".draft-*")):
        age(draft)
    with disk.file(tmp_path / "x") as out:
        living, = tmp_path.glob(".*.part")
        age(living)
        disk.write(tmp_path / "x", "the other's")
        assert living.exists()
        out.write(b"ours, later")
    fill_folder(tmp_path / "run", "new")
    assert (tmp_path / "x").read_text() == "ours, later" and sorted(os.listdir(tmp_path)) == ["run", "x"]
    assert sorted(os.listdir(tmp_path / "run")) == ["a", "seal", "sub"]


@posix
def test_two_writers_of_one_folder_take_turns_or_are_told(tmp_path, monkeypatch):
    threads = [threading.Thread(target=fill_folder, args=(tmp_path / "run", str(i))) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found(tmp_path / "run")) == 1 and not list((tmp_path / "run").glob(".*"))
    told = []

    def intrude():
        with pytest.raises(OSError, match="another process is writing into .*run; wait until it has ended") as refusal:
            fill_folder(tmp_path / "run", "theirs")
        told.append(refusal)

    monkeypatch.setattr(disk, "WAIT", 0.1)
    with disk.alone(tmp_path / "run"):
        fill_folder(tmp_path / "run", "ours")  # who is alone may write
        intruder = threading.Thread(target=intrude)
        intruder.start()
        intruder.join()
    assert told and found(tmp_path / "run") == {"ours"}
    fill_folder(tmp_path / "run", "free again")


def test_a_reader_never_meets_two_checkpoints_in_one(tmp_path):
    folder, done, seen = tmp_path / "run", threading.Event(), set()
    models = {step: model(float(step)) for step in (1, 2)}
    save(models[1], BPE, folder, state={"step": 1})

    def write():
        for i in range(600):             # a busy machine reads once while many are written
            if i >= 12 and len({value for _, value in [*seen]}) == 2:
                break
            state = {"step": 1 + i % 2, "x": torch.full((3,), i % 2)}
            save(models[1 + i % 2], BPE if i % 3 else None, folder, state=state)
        done.set()

    writer = threading.Thread(target=write)
    writer.start()
    while not done.is_set():
        state = load_state(folder)
        seen.add((state["step"], load(folder)[0].norm.weight[0].item()))
        assert "x" not in state or state["x"][0] == state["step"] - 1
    writer.join()
    assert {value for _, value in seen} == {1.0, 2.0}


def test_a_rehearsal_raises_what_saving_would_and_leaves_nothing(tmp_path, monkeypatch):
    rehearse(model(), BPE, tmp_path / "run", state={"x": torch.ones(2)})
    assert not list(tmp_path.iterdir())
    save(model(1.0), None, tmp_path / "run")
    rehearse(model(2.0), None, tmp_path / "run")
    assert load(tmp_path / "run")[0].norm.weight[0] == 1
    with pytest.raises(TypeError, match="state.path is a"):
        rehearse(model(), None, tmp_path / "run", state={"path": tmp_path})
    with pytest.raises(OSError, match="could not be written|too long"):
        rehearse(model(), None, tmp_path / ("x" * 300))


@pytest.mark.parametrize("names", ["[" * 100_000, "{}", "[3]", '"x"', "", "[\"a\", null]"])
def test_a_list_of_names_that_nobody_wrote_here_is_refused(names, tmp_path):
    (tmp_path / ".next").mkdir()
    (tmp_path / ".next" / ".contents").write_text(names)
    (tmp_path / "mine.txt").write_text("two hours of work")
    with (pytest.raises(ValueError, match="no list of names as minillm writes it; remove"),
          disk.folder(tmp_path, seal="seal", ours=lambda folder: ["mine.txt"])):
        pass
    assert (tmp_path / "mine.txt").exists()


def test_a_folder_from_outside_leads_nowhere_else(tmp_path):
    (tmp_path / "mine").write_text("mine")
    save(model(), None, tmp_path / "run")
    (tmp_path / "run" / "checksums.json").write_text(f'{{"../mine": "0", "{(tmp_path / "mine").as_posix()}": "0"}}')
    save(model(), None, tmp_path / "run")
    shutil.copytree(tmp_path / "run", tmp_path / "run" / disk.NEXT)
    (tmp_path / "run" / disk.NEXT / ".contents").write_text('["../mine", "/etc", "..", "config.json"]')
    save(model(), None, tmp_path / "run")
    assert (tmp_path / "mine").read_text() == "mine"
    load(tmp_path / "run")


@pytest.mark.skipif(os.name != "posix", reason="links are made as POSIX makes them")
def test_a_link_is_no_replacement_that_was_cut_off(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "kept").write_text("mine")
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / disk.NEXT).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="is a link, where a replacement"):
        with disk.folder(tmp_path / "here", seal="seal", ours=lambda folder: []):
            pass
    assert (tmp_path / "elsewhere" / "kept").read_text() == "mine"
