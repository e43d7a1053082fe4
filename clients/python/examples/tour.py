"""A worker and a client that submits a job and watches it: `python tour.py`, with `jobstream dev` running."""

from jobstream import Client, Context, Worker

client = Client()  # JOBSTREAM_ADDRESS, else http://127.0.0.1:7070
worker = Worker(client, "thumbnails")


@worker.handler("resize")
def resize(context: Context, width: int) -> str:
    context.progress(0.5, "decoding")
    return f"resized to {width}"


with client, worker:  # A program that only works calls worker.run(): SIGTERM drains it.
    job = client.submit("resize", 640, returns=str)  # Safe to retry: one call is one job.
    for event in job.watch():  # Resumes by itself: none missed, none twice.
        print(event)
    print(job.result())
