"""Texts arrive whole, checked and clean, or not at all; your own files are read as they are; ends are kept."""
import hashlib
import http.server
import json
import re
import threading
import time
import tracemalloc
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minillm import corpora
from minillm.corpora import Corpus, DownloadError, catalogue, fetch, mix, read
from minillm.data import Batches, TokenFile
from minillm.tokenizers import END_OF_TEXT, PATTERNS, BPETokenizer, ByteTokenizer
from minillm.tokenizers.splitting import count_chunks

CATALOGUE = json.loads((corpora.data_folder() / "catalogue.json").read_text(encoding="utf-8"))
FILES = {part["file"]: part for row in CATALOGUE.values() for part in row.get("parts", [row])}


# --- the catalogue

def test_the_catalogue_has_twenty_one_texts_with_all_that_is_known():
    assert len(CATALOGUE) == 21
    for name, row in CATALOGUE.items():
        card = corpora.card(name)
        assert all((card.title, card.author, card.year, card.language, card.script, card.licence, card.quality))
        assert card.characters > 40_000 and not card.shipped and "public_domain" in row


def test_every_address_is_pinned_to_a_commit():
    for part in FILES.values():
        assert part["url"].startswith("https://") and len(part["url"].split("/")[5]) == 40
        assert len(part["sha256"]) == len(part["clean_sha256"]) == 64


@pytest.mark.needs_corpora
@pytest.mark.parametrize("name", CATALOGUE)
def test_cleaning_gives_exactly_the_text_that_was_reviewed(name):
    corpus = corpora.load(name)
    parts = CATALOGUE[name].get("parts", [CATALOGUE[name]])
    sums = [hashlib.sha256(document.encode()).hexdigest() for document in corpus.documents]
    assert sums == [part["clean_sha256"] for part in parts]
    assert [len(document) for document in corpus.documents] == [part["clean_characters"] for part in parts]


@pytest.mark.needs_corpora
def test_shakespeare_is_split_where_everyone_splits_it():
    text = corpora.load("shakespeare").text
    train, validation = corpora.load("shakespeare").split()
    assert len(text) == 1_115_394 and text == train + validation
    assert len(train) == int(0.9 * len(text)) == 1_003_854


@pytest.mark.needs_corpora
def test_the_direction_of_writing_is_seen_in_the_text():
    right_to_left = [name for name in CATALOGUE if corpora.load(name).right_to_left]
    assert right_to_left == ["kalila", "tell", "hafez"]


def test_cleaning_steps_are_taken_in_order():
    row = {"start": r"\ABEGIN\n", "end": r"^END$", "subs": [[r"^\d+ ", ""], ["_", ""]]}
    data = "\ufeffBEGIN\r\n1 e\u0301_t\r\n2 \r\n\r\nEND\r\nEND".encode()
    assert corpora.clean(data, row) == "ét\n"


def test_json_is_flattened_to_lines():
    poems = [{"title": "t", "author": "a", "paragraphs": ["1", "2"]}, {"title": "u", "author": "b", "paragraphs": []}]
    assert corpora.clean(json.dumps(poems).encode(), {"json": "poems"}) == "t\na\n1\n2\n\nu\nb\n"
    assert corpora.clean(json.dumps([{"chapter": "c", "paragraphs": ["p"]}]).encode(), {"json": "chapters"}) == "c\np\n"


@pytest.mark.parametrize("name, hint", [
    ("shakespere", "did you mean 'shakespeare'"), ("Kalila", "did you mean 'kalila'"),
    ("Cervantes", "did you mean 'quijote'"), ("zzz", "there are .*frankenstein"), ("../shakespeare", "did you mean")])
def test_an_unknown_name_gets_the_nearest_one(name, hint):
    with pytest.raises(ValueError, match=hint):
        corpora.load(name)


def test_names_can_be_asked_by_language_and_by_what_ships():
    assert {"faust", "effi"} <= set(corpora.names(language="de"))
    assert set(corpora.names()) == set(corpora.names(shipped=True)) | set(CATALOGUE)
    assert not set(corpora.names(shipped=True)) & set(CATALOGUE)


def test_every_shipped_text_can_be_loaded_and_says_what_it_is():
    for name in corpora.names(shipped=True):
        corpus = corpora.load(name)
        assert corpus.shipped and corpus.text.strip() and corpus.title and corpus.licence


def test_every_shipped_text_has_its_card():
    page = (corpora.data_folder() / "README.md").read_text(encoding="utf-8")
    told = re.findall(r"`([^`]+)`", " ".join(re.findall(r"(?m)^## (.+)$", page)))
    assert not [name for name in corpora.names(shipped=True)
                if name not in told and f"{name.split('-')[0]}-…" not in told]


def test_shipped_texts_may_hold_several_documents(tmp_path, monkeypatch):
    (tmp_path / "catalogue.json").write_text("{}")
    (tmp_path / "shipped.json").write_text(json.dumps({"s": {"title": "S", "file": "s.txt", "between": "\n***\n"}}))
    (tmp_path / "s.txt").write_bytes(b"one\r\n***\r\ntwo\n***\nthree\n")
    monkeypatch.setattr(catalogue, "data_folder", lambda: tmp_path)
    catalogue._rows.cache_clear()
    try:
        assert corpora.load("s").documents == ("one", "two", "three\n")
    finally:
        catalogue._rows.cache_clear()


def test_data_are_found_in_a_clone_and_in_an_installed_wheel(tmp_path, monkeypatch):
    package = tmp_path / "minillm"
    monkeypatch.setattr(catalogue, "__file__", str(package / "corpora" / "catalogue.py"))
    with pytest.raises(FileNotFoundError, match="whole clone"):
        corpora.data_folder()
    for folder in (tmp_path / "data", package / "_data"):  # the wheel's own come first
        folder.mkdir(parents=True)
        (folder / "catalogue.json").write_text("{}")
        assert corpora.data_folder() == folder


# --- fetching, from a server on this machine

TEXT = ("All happy families are alike. " * 9000).encode()
SUM = hashlib.sha256(TEXT).hexdigest()


class Server(http.server.BaseHTTPRequestHandler):
    """Answers by path: /good /short /wrong /missing /busy-once /silent /long /drip."""
    asked: list[str]

    def do_GET(self):
        self.asked.append(self.path)
        if self.path == "/missing":
            return self.send_error(404)
        if self.path == "/busy-once" and len(self.asked) == 1:
            return self.send_error(503)
        if self.path == "/drip":  # a head without an end, a letter at a time
            self.wfile.write(b"HTTP/1.0 200 OK\r\nX-Slow: ")
            for _ in range(40):
                self.wfile.write(b"x")
                time.sleep(0.02)
            return None
        body = {"/wrong": TEXT.replace(b"happy", b"happx"), "/long": TEXT * 2}.get(self.path, TEXT)
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.path == "/silent":
            self.wfile.write(body[:1000])
            self.wfile.flush()
            time.sleep(0.5)
        elif self.path == "/short":
            self.wfile.write(body[:1000])
        else:
            self.wfile.write(body)

    def log_message(self, *message):
        pass


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr("minillm.corpora.download.PAUSE", 0.01)
    handler = type("Handler", (Server,), {"asked": []})
    http_server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    http_server.handle_error = lambda *_: None  # a client that hangs up is what some of these tests are about
    threading.Thread(target=http_server.serve_forever, args=(0.05,), daemon=True).start()
    http_server.address = f"http://127.0.0.1:{http_server.server_port}"
    http_server.asked = handler.asked
    yield http_server
    http_server.shutdown()
    http_server.server_close()


def test_a_text_is_fetched_whole_and_nothing_else_is_left(server, tmp_path):
    path = fetch(server.address + "/good", tmp_path / "deep" / "t.txt", size=len(TEXT), sha256=SUM)
    assert path.read_bytes() == TEXT
    assert [p.name for p in path.parent.iterdir()] == ["t.txt"]


@pytest.mark.parametrize("path, why, tries", [
    ("/short", r"broke off|more expected|IncompleteRead", 3), ("/wrong", "sha256 differs", 1), ("/long", "sha256", 1),
    ("/missing", "404", 1), ("/silent", r"nothing came for 0\.1 s|not begun", 3), ("/drip", "had not begun after", 3)])
def test_what_does_not_arrive_right_is_refused_with_a_way_out(server, tmp_path, path, why, tries):
    with pytest.raises(DownloadError, match=why) as error:
        fetch(server.address + path, tmp_path / "t.txt", size=len(TEXT), sha256=SUM,
              timeout=0.1 if path in ("/silent", "/drip") else 20)
    assert server.asked == [path] * tries
    assert list(tmp_path.iterdir()) == []
    assert any(word in str(error.value) for word in ("MINILLM_CORPORA", "browser"))
    assert "\n" not in str(error.value)


def test_a_busy_server_is_asked_again(server, tmp_path):
    path = fetch(server.address + "/busy-once", tmp_path / "t.txt", size=len(TEXT), sha256=SUM)
    assert path.read_bytes() == TEXT and len(server.asked) == 2


def test_without_a_network_the_way_out_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr("minillm.corpora.download.PAUSE", 0)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with pytest.raises(DownloadError, match=r"no connection: .* a text that ships .* MINILLM_CORPORA"):
        fetch("http://127.0.0.1:9/t", tmp_path / "t.txt", size=1, sha256="")


def test_a_folder_that_cannot_be_written_is_said_as_such(server, tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(DownloadError, match="could not write .* MINILLM_CACHE"):
        fetch(server.address + "/good", tmp_path / "file" / "t.txt", size=len(TEXT), sha256=SUM)


@pytest.fixture
def one_text(server, tmp_path, monkeypatch):
    """A catalogue of one text, an empty cache and an empty folder of one's own."""
    row = {"title": "T", "language": "en", "url": server.address + "/good", "file": "t.txt", "bytes": len(TEXT),
           "sha256": SUM}
    monkeypatch.setattr(catalogue, "_rows", lambda: {"t": row})
    monkeypatch.setenv("MINILLM_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("MINILLM_CORPORA", str(tmp_path / "own"))
    (tmp_path / "own").mkdir()
    return tmp_path


def test_a_text_is_fetched_once_and_then_kept(one_text, server):
    assert corpora.load("t").text == TEXT.decode().strip() + "\n"
    assert corpora.load("t").documents == corpora.load("t").documents
    assert server.asked == ["/good"]


def test_a_spoiled_cache_is_fetched_again(one_text, server):
    corpora.load("t")
    (one_text / "cache" / "t.txt").write_bytes(TEXT[:-1])
    assert corpora.load("t").text.startswith("All happy")
    assert server.asked == ["/good"] * 2 and (one_text / "cache" / "t.txt").read_bytes() == TEXT


def test_a_folder_of_one_s_own_is_used_first_and_checked(one_text, server):
    (one_text / "own" / "t.txt").write_bytes(TEXT)
    corpora.load("t")
    assert server.asked == []
    (one_text / "own" / "t.txt").write_bytes(TEXT + b"!")
    with pytest.raises(ValueError, match="sha256 differs"):
        corpora.load("t")


@pytest.mark.parametrize("platform, variables, folder", [
    ("linux", {"XDG_CACHE_HOME": "/x"}, "/x/minillm"), ("linux", {}, "/home/me/.cache/minillm"),
    ("darwin", {}, "/home/me/Library/Caches/minillm"), ("win32", {"LOCALAPPDATA": "/l"}, "/l/minillm"),
    ("linux", {"MINILLM_CACHE": "/mine"}, "/mine")])
def test_the_cache_is_where_the_platform_keeps_such_things(monkeypatch, platform, variables, folder):
    for name in ("MINILLM_CACHE", "XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("sys.platform", platform)
    monkeypatch.setattr(Path, "home", lambda: Path("/home/me"))
    assert corpora.cache_folder() == Path(folder)


# --- your own files

def test_a_file_is_read_as_it_is_but_for_bom_and_line_ends(tmp_path):
    path = tmp_path / "mine.txt"
    path.write_bytes("\ufeffcafe\u0301\r\n  كليلة \n\n".encode())
    corpus = read(path)
    assert corpus.text == "cafe\u0301\n  كليلة \n\n" and corpus.name == "mine" and corpus.title == "mine.txt"
    assert read(str(path)) == read([path]) == corpus
    assert read(("mine.txt", path.read_bytes())) == corpus
    assert read([("mine.txt", memoryview(path.read_bytes()))]) == corpus


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\0"), min_size=1))
def test_any_text_of_one_s_own_comes_back_unchanged(text):
    if not text.strip() or text.startswith(("\ufeff", "%PDF", "PK\x03\x04", "{\\rtf")):
        return
    assert read(("t", text.encode())).text == text


@pytest.mark.parametrize("data, said", [
    ("déjà vu".encode("latin-1"), r"byte 1 \(line 1\) is 0xE9.*Latin-1"),
    (b"one\ntwo\nthr\xe9e and more", r"byte 11 \(line 3\).*Latin-1"),
    (b"\xef\xbb\xbfab\xff and more", r"byte 5 \(line 1\) is 0xFF"),
    ("hello world".encode("utf-16"), "UTF-16"), ("hello world".encode("utf-16-le"), "UTF-16"),
    ("привет, мир, как дела".encode("koi8-r"), "older encoding"), ("كليلة ودمنة".encode("cp1256"), "older encoding"),
    ("abc é".encode()[:-1], "breaks off inside a character"), (b"text\0text and more text", "byte 4 .*zero byte"),
    (b"%PDF-1.7 ...", "is a PDF"), (b"PK\x03\x04....", "ZIP archive"), (b"", "empty"), (b"\xef\xbb\xbf \r\n", "empty")])
def test_what_is_no_utf8_text_is_refused_with_place_and_reason(data, said):
    with pytest.raises(ValueError, match=said) as error:
        read(("upload.txt", data))
    assert str(error.value).startswith("upload.txt")


def test_files_that_are_not_there_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"gone\.txt is no file"):
        read(tmp_path / "gone.txt")
    with pytest.raises(ValueError, match=r"is a folder; .*glob"):
        read(tmp_path)
    with pytest.raises(ValueError, match="no file was given"):
        read([])


def test_more_bytes_than_allowed_are_refused_before_they_are_read(tmp_path):
    big = tmp_path / "big.txt"
    with big.open("wb") as file:
        file.truncate(65 * 2 ** 20)  # a hole: reading it would be refused for its zero bytes
    with pytest.raises(ValueError, match="68,157,440 bytes are more than max_bytes=67,108,864.*max_bytes=68_157_440"):
        read(big)
    with pytest.raises(ValueError, match="a and 1 more: 12 bytes .* max_bytes=10"):
        read([("a", b"123456"), ("b", b"123456")], max_bytes=10)
    assert read([("a", b"123456"), ("b", b"123456")], max_bytes=12).text == "123456\n\n123456"


# --- documents, mixes, ends

def lines(name: str, n: int = 100) -> Corpus:
    return Corpus(name=name, language=name, licence="CC0", documents=("".join(f"{name} {i}\n" for i in range(n)),))


@given(st.text(min_size=2), st.floats(0.01, 0.99))
def test_one_document_is_cut_in_two_and_nothing_is_lost(text, fraction):
    cut = int((1 - fraction) * len(text))
    if not 0 < cut < len(text):
        with pytest.raises(ValueError, match="too few"):
            Corpus(name="t", documents=(text,)).split(fraction)
    else:
        assert Corpus(name="t", documents=(text,)).split(fraction) == (text[:cut], text[cut:])


def test_many_documents_are_kept_whole():
    corpus = Corpus(name="stories", documents=tuple(f"story {i}" * (1 + i % 3) for i in range(200)))
    train, validation = corpus.hold_out(0.1)
    assert train.documents + validation.documents == corpus.documents
    assert abs(validation.characters / corpus.characters - 0.1) < 0.01
    assert train.name == "stories"


def test_each_member_of_a_mix_gives_its_own_end_cut_where_a_line_ends():
    mixed = mix([lines("en"), lines("ar", 1000)])
    train, validation = mixed.hold_out(0.1)
    assert all(document.endswith("\n") for document in train.documents)
    for member, first, last in zip(mixed.members, train.documents, validation.documents, strict=True):
        assert first + last == member.text
        assert abs(len(last) / len(member.text) - 0.1) < 0.01
    assert train.name == mixed.name == "en + ar" and mixed.licence == "CC0" and mixed.language == ""
    assert [len(member.text) for member in train.members] == [len(document) for document in train.documents]


def test_a_mix_of_mixes_still_splits_each_text():
    mixed = mix([mix([lines("a"), lines("b")]), lines("c")])
    train, validation = mixed.hold_out(0.2)
    assert [document.split()[0] for document in validation.documents] == ["a", "b", "c"]
    assert "".join(train.documents + validation.documents).count("\n") == 300


def test_documents_are_closed_by_end_of_text_and_no_text_can_forge_it():
    tokenizer = ByteTokenizer(special=[END_OF_TEXT])
    end = tokenizer.end_of_text
    corpus = Corpus(name="t", documents=("ab", f"c{END_OF_TEXT}"))
    assert corpus.encode(tokenizer) == [97, 98, end, 99, *END_OF_TEXT.encode(), end]
    assert corpus.encode(ByteTokenizer()) == list(corpus.text.encode()) == list(f"ab\n\nc{END_OF_TEXT}".encode())
    assert Corpus(name="t", documents=("ab",)).encode(tokenizer) == [97, 98]  # one stream: nothing ends


def test_nonsense_is_refused():
    for make in (lambda: Corpus(name="t"), lambda: Corpus(name="t", documents=("",)), lambda: mix([]),
                 lambda: lines("t").split(0.0), lambda: lines("t").split(1.0)):
        with pytest.raises(ValueError):
            make()


def test_a_corpus_is_shown_by_its_name_and_size_not_by_its_text():
    assert repr(Corpus(name="t", documents=("ab", "c"))) == "Corpus('t', 5 characters in 2 documents)"


@pytest.mark.parametrize("text", [
    "one two\n\n\nthree, 4\r\n" * 300, "no line ends at all " * 400, "天地玄黃" * 900, "\n" * 3000 + "x",
    "a\rb\r" * 900, "\ufeffone\n\ufefftwo\n" * 200, "x"],
    ids=["lines", "blanks", "signs", "empty lines", "old", "marks", "short"])
def test_a_stream_is_the_text_in_pieces_that_hold_its_chunks(text, tmp_path):
    (tmp_path / "t.txt").write_bytes(text.encode())
    whole, pieces = read(tmp_path / "t.txt").text, [*corpora.stream(tmp_path / "t.txt", block=100)]
    assert "".join(pieces) == whole and max(map(len, pieces)) <= 1000
    if "three" in text:
        for pattern in PATTERNS.values():
            assert count_chunks(pieces, pattern) == count_chunks(whole, pattern)


def test_a_stream_refuses_what_is_no_text_at_its_place(tmp_path):
    (tmp_path / "t.txt").write_bytes(b"good line\n" * 50 + b"bad \xff line\n")
    with pytest.raises(ValueError, match=r"byte 504 \(line 51\) is 0xFF"):
        list(corpora.stream(tmp_path / "t.txt", block=64))
    for data, said in ((b"", "is empty"), (b" \n" * 900, "is empty"), (b"PK\x03\x04", "ZIP")):
        (tmp_path / "t.txt").write_bytes(data)
        with pytest.raises(ValueError, match=said):
            list(corpora.stream(tmp_path / "t.txt", block=64))


def test_a_text_becomes_a_tokenizer_ids_and_batches_in_flat_memory(tmp_path):
    peaks = []
    for n_lines in (1_000, 9_000, 27_000):  # what is made once, the first time, is not counted
        path = tmp_path / str(n_lines)
        path.write_text("".join(f"line {i % 997} of a text, {i % 13} words; the cat sat\n" for i in range(n_lines)))
        pieces = partial(corpora.stream, path, block=1 << 16)
        tracemalloc.start()
        try:
            tokenizer = BPETokenizer.train(pieces(), 300)
            ids = TokenFile.write(tmp_path / "ids", tokenizer.encode_stream(pieces()), vocab_size=tokenizer.vocab_size)
            Batches(ids, batch_size=4, context_length=32, seed=0)[0]
            peaks.append(tracemalloc.get_traced_memory()[1])
        finally:
            tracemalloc.stop()
        assert tokenizer.decode(ids[:200].tolist()) in path.read_text()
    assert peaks[2] < 1.2 * peaks[1]


@pytest.mark.parametrize("change", [
    {"title": 3}, {"file": "../out"}, {"file": "/etc/hosts"}, {"file": None}, {"bytes": "1"}, {"sha256": 3}, {"url": 1},
    {"start": "("}, {"subs": [["("]]}, {"subs": [["a", "b", "c"]]}, {"json": "x"}, {"parts": []}, {"parts": [3]}])
def test_a_catalogue_that_was_edited_is_refused_in_a_sentence(change, tmp_path, monkeypatch):
    row = {"title": "t", "file": "t.txt", "url": "https://example.org/t", "bytes": 1, "sha256": "0"} | change
    (tmp_path / "catalogue.json").write_text(json.dumps({"t": row}))
    (tmp_path / "shipped.json").write_text("{}")
    monkeypatch.setattr(catalogue, "data_folder", lambda: tmp_path)
    with pytest.raises(ValueError, match="catalogue.json"):
        catalogue._rows.__wrapped__()


@pytest.mark.parametrize(("data", "row"), [
    (b"\xff", {}), (b"x", {"start": "^a"}), (b"x", {"end": "^a"}), (b"[3]", {"json": "poems"}),
    (b"{", {"json": "poems"}),
    (b'[{"title": "t", "author": "a", "paragraphs": [1]}]', {"json": "poems"})])
def test_a_text_that_cannot_be_cleaned_as_its_row_says_is_named(data, row):
    with pytest.raises(ValueError, match="^t.txt ") as told:
        corpora.clean(data, row | {"file": "t.txt"})
    assert type(told.value) is ValueError


@pytest.mark.parametrize("size", [0, -1, 10 ** 12])
def test_no_more_is_fetched_than_a_text_has(size, tmp_path):
    with pytest.raises(DownloadError, match="where a text has 1 to"):
        fetch("http://127.0.0.1:1/x", tmp_path / "t", size=size, sha256="0")


def test_a_text_is_fetched_from_the_web_alone(tmp_path):
    (tmp_path / "here").write_text("x")
    with pytest.raises(DownloadError, match="no address of the web"):
        fetch((tmp_path / "here").as_uri(), tmp_path / "t", size=1, sha256="0")


@pytest.mark.parametrize("documents", [("one document " * 9000,), ("the first", "the second\n\nof two " * 9000)])
@pytest.mark.parametrize("special", [(), (END_OF_TEXT,)])
def test_a_text_encoded_as_a_stream_has_the_ids_of_its_list(documents, special):
    corpus, tokenizer = Corpus("texts", documents=documents), BPETokenizer.train(documents[-1], 300, special=special)
    stream = corpus.encode_stream(tokenizer)
    assert iter(stream) is stream and list(stream) == corpus.encode(tokenizer)
    ends = [END_OF_TEXT] * len(documents) if special and len(documents) > 1 else []
    assert [tokenizer.decode([i]) for i in corpus.encode(tokenizer) if i == tokenizer.end_of_text] == ends
