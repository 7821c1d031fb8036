// Socket.IO with a room for each channel, both transports, and everything else at its default.
// A client names its room in the query; an event "publish" goes to a room.
import { createServer } from "node:http";
import { Server } from "socket.io";

const [, , port] = process.argv;
const server = createServer();
const io = new Server(server);

io.on("connection", (socket) => {
  const { channel } = socket.handshake.query;
  if (channel !== undefined) {
    socket.join(channel);
    // So that the load knows that this one is in the room.
    socket.emit("ready");
  }
  socket.on("publish", (room, message) => io.to(room).emit("message", message));
});

server.listen({ port: Number(port), host: "127.0.0.1", backlog: 4096 });
