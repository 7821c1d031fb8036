// Follows an event stream with the package `eventsource`, which comes back by itself. Prints each event as a line of JSON.
const { EventSource } = require("eventsource");

const source = new EventSource(process.argv[2]);
const show = ({ type, lastEventId, data }) => console.log(JSON.stringify({ type, id: lastEventId, data: JSON.parse(data) }));
source.addEventListener("welcome", show);
source.addEventListener("message", show);
source.addEventListener("error", ({ message }) => console.error("error:", message));
