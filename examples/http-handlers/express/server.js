// The jobs of the kind `words` as requests to Express: `node server.js`.
import express from "express";
import { Webhook } from "standardwebhooks";

const app = express();
const webhook = new Webhook(process.env.WEBHOOK_SECRET);

// The signature is that of the bytes, so the body is parsed after it was verified.
app.use(express.raw({ type: "*/*", limit: "1mb" }), (request, response, next) => {
  try {
    webhook.verify(request.body, request.headers);
    next();
  } catch (error) {
    response.status(401).send(error.message);
  }
});

app.post("/words", (request, response) => {
  const { text } = JSON.parse(request.body);
  if (typeof text !== "string") {
    // 422 fails the job without a retry. An exception is answered with 500, and the job is retried.
    response.status(422).type("application/problem+json");
    response.send(JSON.stringify({ title: "The input is invalid", detail: "text is missing" }));
    return;
  }
  response.json({ words: text.split(/\s+/).filter(Boolean).length });
});

app.listen(Number(process.env.PORT ?? 9000), "127.0.0.1");
