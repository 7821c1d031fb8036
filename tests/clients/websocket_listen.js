// Listens with the package `ws`, which answers pings by itself. Prints what arrives, one JSON object a line.
const WebSocket = require("ws");

new WebSocket(process.argv[2]).on("message", (text) => console.log(text.toString()));
