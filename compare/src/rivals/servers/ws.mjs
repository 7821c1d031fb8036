// The broadcast server of the README of `ws`: who connects to /publish is heard by all others.
// perMessageDeflate stays off, which is its default.
import { createServer } from "node:http";
import { WebSocket, WebSocketServer } from "ws";

const [, , port] = process.argv;
const server = createServer();
const wss = new WebSocketServer({ server });

wss.on("connection", (ws, request) => {
  ws.on("error", console.error);
  if (request.url === "/publish") {
    wss.clients.delete(ws);
    ws.on("message", (data, isBinary) => {
      wss.clients.forEach((client) => {
        if (client.readyState === WebSocket.OPEN) {
          client.send(data, { binary: isBinary });
        }
      });
    });
  } else {
    // So that the load knows that this one is among the clients.
    ws.send("ready");
  }
});

server.listen({ port: Number(port), host: "127.0.0.1", backlog: 4096 });
