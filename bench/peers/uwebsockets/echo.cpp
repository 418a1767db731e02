// An echo server as uWebSockets' authors write theirs (their EchoServer example), without
// compression. Compiled twice by `throng-bench peers`: with epoll, and with LIBUS_USE_IO_URING, an
// experiment of theirs that takes receives of at most 2 KB and 1,024 connections.
#include "App.h"

#include <arpa/inet.h>
#include <iostream>
#include <sys/socket.h>
#include <unistd.h>

// The io_uring build cannot tell the port it got, so one that is free is found beforehand.
static int free_port() {
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in address = {};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t length = sizeof(address);
    if (bind(fd, reinterpret_cast<sockaddr *>(&address), length)
        || getsockname(fd, reinterpret_cast<sockaddr *>(&address), &length)) {
        return -1;
    }
    close(fd);
    return ntohs(address.sin_port);
}

int main() {
    struct PerSocketData {};
    int port = free_port();
    uWS::App()
        .ws<PerSocketData>("/*",
            {.compression = uWS::DISABLED,
                .maxPayloadLength = 16 * 1024 * 1024,
                .idleTimeout = 120,
                .maxBackpressure = 16 * 1024 * 1024,
                .message = [](auto *ws, std::string_view message,
                               uWS::OpCode opCode) { ws->send(message, opCode); }})
        .listen("127.0.0.1", port,
            [port](auto *listener) {
                if (!listener) {
                    exit(1);
                }
                std::cout << "ready ws=ws://127.0.0.1:" << port << "/ server=uwebsockets"
                          << std::endl;
            })
        .run();
}
