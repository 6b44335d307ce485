"""Tasks that wait for answers, calls or time, all in one thread."""

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pycurl
import pytest

from packer.adapters.transfers import Answer, Pause, Task, TransferFailed, Transfers


@dataclass
class Site:
    """A server that answers a path with what it is given for it, and counts connections and requests at once."""

    answers: dict[str, bytes | Callable[[], bytes]] = field(default_factory=dict)
    url: str = ""
    connections: int = 0
    at_once: int = 0
    most_at_once: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def get(self, path: str) -> "Get":
        return Get(self.url + path)


@dataclass(frozen=True)
class Get:
    url: str

    def prepare(self, curl: Any) -> None:
        curl.setopt(pycurl.URL, self.url)


@pytest.fixture
def site() -> Iterator[Site]:
    site = Site()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def setup(self) -> None:
            super().setup()
            with site.lock:
                site.connections += 1

        def do_GET(self) -> None:
            with site.lock:
                site.at_once += 1
                site.most_at_once = max(site.most_at_once, site.at_once)
            answer = site.answers.get(self.path, self.path.encode())
            body = answer() if callable(answer) else answer
            with site.lock:
                site.at_once -= 1
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 - the base class's name
            """Says nothing."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        request_queue_size = 128  # connections that come at once; others come again a second later

    server = Server(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    site.url = f"http://127.0.0.1:{server.server_port}/"
    yield site
    server.shutdown()
    thread.join()
    server.server_close()


def reading(site: Site, path: object) -> Task[bytes]:
    answer: Answer = yield site.get(str(path))
    assert answer.status == 200
    return bytes(answer.body)


def transfers(*, most: int = 4, window_bytes: int = 1000) -> Transfers:
    return Transfers(pycurl.Curl, most=most, window_bytes=window_bytes)


def test_results_come_in_the_order_of_the_tasks(site: Site) -> None:
    late = threading.Event()
    site.answers["/0"] = lambda: b"/late" if late.wait(5) else b"/never"

    def let_the_first_one_go() -> bytes:
        late.set()
        return b"/9"

    site.answers["/9"] = let_the_first_one_go

    got = list(transfers(most=10).in_order((1, reading(site, number)) for number in range(50)))

    assert got == [b"/late", *(f"/{number}".encode() for number in range(1, 50))]


@pytest.mark.parametrize("most", [1, 2, 4])
def test_several_are_asked_for_at_once_but_no_more_than_allowed(site: Site, most: int) -> None:
    for number in range(40):
        site.answers[f"/{number}"] = partial(pause_and_answer, 0.01)

    assert len(list(transfers(most=most).in_order((1, reading(site, number)) for number in range(40)))) == 40

    assert min(2, most) <= site.most_at_once <= most


def pause_and_answer(seconds: float) -> bytes:
    threading.Event().wait(seconds)
    return b"late"


def test_no_more_is_begun_than_the_window_holds(site: Site) -> None:
    begun: list[int] = []

    def counted(number: int) -> Task[int]:
        begun.append(number)
        yield site.get(str(number))
        return number

    tasks = ((100, counted(number)) for number in range(30))
    ahead = [len(begun) - number for number in transfers(most=100, window_bytes=300).in_order(tasks)]

    assert max(ahead) == 3


def test_one_task_larger_than_the_window_goes_alone(site: Site) -> None:
    got = list(transfers(window_bytes=0).in_order((5, reading(site, number)) for number in range(3)))

    assert got == [b"/0", b"/1", b"/2"]
    assert site.most_at_once == 1


def test_small_results_are_taken_together_and_nothing_with_a_large_one_before_it(site: Site) -> None:
    sizes = [*[1] * 40, 10**6, 10**6, 1, 1]
    some = transfers(most=100, window_bytes=10**7)

    runs = list(some.in_runs((size, reading(site, number)) for number, size in enumerate(sizes)))

    assert [body for run in runs for body in run] == [f"/{number}".encode() for number in range(44)]
    assert len(runs[0]) == 32
    assert len(runs[-1]) == 2
    assert not {b"/40", b"/41"} & {body for run in runs for body in run[:-1]}


def test_nobody_waits_for_a_large_one_that_is_not_there_yet(site: Site) -> None:
    taken = threading.Event()
    site.answers["/2"] = lambda: b"/large" if taken.wait(5) else b"/never"
    sizes = [1, 1, 10**6, 1]

    runs = transfers(window_bytes=10**7).in_runs((size, reading(site, number)) for number, size in enumerate(sizes))

    assert next(runs) == [b"/0", b"/1"]
    taken.set()
    assert list(runs) == [[b"/large"], [b"/3"]]


def test_connections_are_kept_from_one_call_to_the_next(site: Site) -> None:
    some = transfers(most=2)

    for _ in range(5):
        list(some.in_order((1, reading(site, number)) for number in range(6)))

    assert site.connections <= 2


def test_a_failure_rises_where_its_result_is_due(site: Site) -> None:
    def failing() -> Task[bytes]:
        yield site.get("x")
        raise LookupError("an accident")

    tasks = [reading(site, 0), failing(), reading(site, 2)]  # taken together, if all went well
    results = transfers().in_order((1, task) for task in tasks)

    assert next(results) == b"/0"
    with pytest.raises(LookupError, match="an accident"):
        next(results)


def test_what_goes_wrong_is_told_to_the_task(site: Site) -> None:
    def enduring() -> Task[int | None]:
        try:
            yield Get("http://127.0.0.1:9/")  # nobody listens
        except TransferFailed as failure:
            told = failure.errno
        try:
            yield partial(int, "no number")
        except ValueError:
            return told
        return None

    (told,) = transfers().in_order(iter([(1, enduring())]))

    assert told == pycurl.E_COULDNT_CONNECT


def test_calls_are_made_in_threads_and_pauses_hold_up_nobody(site: Site) -> None:
    met = threading.Barrier(3, timeout=5)

    def calling() -> Task[bytes]:
        yield Pause(0.05)
        place: int = yield met.wait
        return f"met {place}".encode()

    got = list(transfers().in_order((1, task) for task in (calling(), calling(), calling(), reading(site, 3))))

    assert sorted(got) == [b"/3", b"met 0", b"met 1", b"met 2"]
    assert got[3] == b"/3"


def test_a_request_that_cannot_be_prepared_is_told_to_its_task_and_to_no_other(site: Site) -> None:
    class NoCredentials:
        def prepare(self, curl: Any) -> None:
            raise LookupError("no credentials now")

    def patient() -> Task[bytes]:
        try:
            yield NoCredentials()
        except LookupError:
            return (yield from reading(site, "later"))
        return b""

    def hopeless() -> Task[bytes]:
        yield NoCredentials()
        return b""

    results = transfers().in_order((1, task) for task in (patient(), reading(site, 1), hopeless()))

    assert [next(results), next(results)] == [b"/later", b"/1"]
    with pytest.raises(LookupError):
        next(results)


def test_whoever_leaves_early_gives_up_what_is_on_its_way(site: Site) -> None:
    some = transfers(most=3, window_bytes=10**7)
    held, left = threading.Event(), []

    def late() -> bytes:
        left.append(held.wait(5))
        return b"late"

    site.answers |= {"/1": late, "/2": late}
    large = 10**6  # so that it is not taken together with others
    results = some.in_order((large if number == 0 else 1, reading(site, number)) for number in range(10))
    assert next(results) == b"/0"

    results.close()

    assert not left, "nobody waits for answers that nobody wants"
    held.set()
    assert list(some.in_order((1, reading(site, number)) for number in range(3, 6))) == [b"/3", b"/4", b"/5"]
