"""Peers crash and hang on hostile files, so each source is looked at in a process of its own keeping."""

import multiprocessing
import os
import queue
import threading
import traceback

# What a peer may take for one source, in seconds. A photo of 26 megapixels takes five on a slow machine.
LIMIT = 90


def serve(connection, work):
    """In the process: answers one request after the other, and says which step it begins."""
    # What the peers' C libraries have to say of a file comes with their refusal, too.
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    while True:
        request = connection.recv()
        try:
            answer = work(request, lambda step: connection.send(("begins", step)))
        except Exception:
            answer = {"broken": traceback.format_exc(limit=-3)}
        connection.send(("answer", answer))


class Worker:
    """One process, begun again when it hangs or dies."""

    def __init__(self, work):
        self.work = work
        self.start()

    def start(self):
        context = multiprocessing.get_context("spawn")
        self.connection, theirs = context.Pipe()
        self.process = context.Process(target=serve, args=(theirs, self.work), daemon=True)
        self.process.start()
        theirs.close()

    def end(self):
        self.process.kill()
        self.process.join()
        self.connection.close()

    def ask(self, request):
        """The answer; steps that hang or kill the process are left out of the next try, with the reason."""
        left_out = dict(request.get("left_out", {}))
        while True:
            self.connection.send(request | {"left_out": left_out})
            step = "start"
            try:
                while self.connection.poll(LIMIT):
                    kind, value = self.connection.recv()
                    if kind == "answer":
                        return value
                    step = value
                why = f"took longer than {LIMIT} s"
            except (EOFError, ConnectionError):
                self.process.join(5)
                why = f"ended the process ({self.process.exitcode})"
            self.end()
            self.start()
            if step in left_out or step == "start":
                return {"broken": f"{step}: {why}"}
            left_out[step] = why


def ask_all(work, requests, tell=lambda count: None):
    """The answers in the order of the requests, by as many processes as there are cores."""
    waiting, answers, lock = queue.SimpleQueue(), [None] * len(requests), threading.Lock()
    done = [0]
    for index in range(len(requests)):
        waiting.put(index)

    def run():
        worker = Worker(work)
        while True:
            try:
                index = waiting.get_nowait()
            except queue.Empty:
                worker.end()
                return
            answers[index] = worker.ask(requests[index])
            with lock:
                done[0] += 1
                tell(done[0])

    threads = [threading.Thread(target=run) for _ in range(min(os.cpu_count() or 1, max(len(requests), 1)))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return answers
