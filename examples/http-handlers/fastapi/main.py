"""The jobs of the kind `words` as requests to FastAPI: `uvicorn main:app --port 9000`."""
import os

from fastapi import Depends, FastAPI, HTTPException, Request
from pydantic import BaseModel
from standardwebhooks import Webhook, WebhookVerificationError

app = FastAPI()
webhook = Webhook(os.environ["WEBHOOK_SECRET"])


class Input(BaseModel):
    text: str


async def signed(request: Request) -> None:
    """Refuses requests that are not from our jobstream, and those older than five minutes."""
    try:
        webhook.verify(await request.body(), dict(request.headers))
    except WebhookVerificationError as error:
        raise HTTPException(401, str(error)) from error


# A body that does not fit `Input` is answered with 422: the job fails and is not retried.
@app.post("/words", dependencies=[Depends(signed)])
def words(job: Input) -> dict[str, int]:
    return {"words": len(job.text.split())}
