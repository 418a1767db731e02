// An echo server as gws's authors write theirs (their echo example).
package main

import (
	"fmt"
	"net"
	"os"

	"github.com/lxzan/gws"
)

type handler struct{ gws.BuiltinEventHandler }

func (handler) OnPing(socket *gws.Conn, payload []byte) { _ = socket.WritePong(payload) }

func (handler) OnMessage(socket *gws.Conn, message *gws.Message) {
	defer message.Close()
	_ = socket.WriteMessage(message.Opcode, message.Bytes())
}

func main() {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Printf("ready ws=ws://%s/ server=gws\n", listener.Addr())
	server := gws.NewServer(handler{}, nil)
	server.OnError = func(net.Conn, error) {}
	fmt.Fprintln(os.Stderr, server.RunListener(listener))
}
