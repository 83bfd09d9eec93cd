// A server and a client with golang.org/x/net/websocket.
//
//	xnet serve ADDRESS      /ws refuses a missing or null Origin, as the package does by itself; it
//	                        echoes, answers `headers`, closes at `bye` and hangs up at `drop`
//	xnet dial URL CERT COMMAND
//	                        a client that checks what an echo does, and that the command, sent at
//	                        last, makes it close; exits 1 on a difference
package main

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"strings"
	"time"

	"golang.org/x/net/websocket"
)

// A message of either kind: the codecs of the package tell text and binary by the Go type.
type message struct {
	kind byte
	data []byte
}

var codec = websocket.Codec{
	Marshal: func(v interface{}) ([]byte, byte, error) {
		m := v.(message)
		return m.data, m.kind, nil
	},
	Unmarshal: func(data []byte, kind byte, v interface{}) error {
		*v.(*message) = message{kind, data}
		return nil
	},
}

func main() {
	log.SetFlags(0)
	switch {
	case len(os.Args) == 3 && os.Args[1] == "serve":
		http.Handle("/ws", websocket.Handler(serve))
		log.Fatal(http.ListenAndServe(os.Args[2], nil))
	case len(os.Args) == 5 && os.Args[1] == "dial":
		if err := dial(os.Args[2], os.Args[3], os.Args[4]); err != nil {
			log.Fatal("xnet: ", err)
		}
	default:
		log.Fatal("usage: xnet serve ADDRESS | dial URL CERT COMMAND")
	}
}

func serve(connection *websocket.Conn) {
	for {
		var m message
		if err := codec.Receive(connection, &m); err != nil {
			// io.EOF stands for a Close frame, too.
			fmt.Println("ended", err)
			return
		}
		switch string(m.data) {
		case "headers":
			m.data = seen(connection)
		case "bye":
			connection.Close()
			return
		case "drop":
			return
		}
		if err := codec.Send(connection, m); err != nil {
			return
		}
	}
}

func seen(connection *websocket.Conn) []byte {
	r := connection.Request()
	text, _ := json.Marshal(map[string]string{
		"host":            r.Host,
		"path":            r.RequestURI,
		"origin":          r.Header.Get("Origin"),
		"x-real-ip":       r.Header.Get("X-Real-IP"),
		"x-forwarded-for": r.Header.Get("X-Forwarded-For"),
	})
	return text
}

func dial(url, certificate, end string) error {
	pem, err := os.ReadFile(certificate)
	if err != nil {
		return err
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	config, err := websocket.NewConfig(url, strings.Replace(url, "wss:", "https:", 1))
	if err != nil {
		return err
	}
	config.TlsConfig = &tls.Config{RootCAs: roots}
	connection, err := websocket.DialConfig(config)
	if err != nil {
		return err
	}
	defer connection.Close()
	connection.SetDeadline(time.Now().Add(30 * time.Second))

	large := bytes.Repeat([]byte("0123456789abcdef"), 1<<16)
	for _, m := range []message{
		{websocket.TextFrame, []byte("text with ümlauts")},
		{websocket.BinaryFrame, []byte{0, 1, 2, 255}},
		{websocket.TextFrame, nil},
		{websocket.BinaryFrame, large},
	} {
		if err := codec.Send(connection, m); err != nil {
			return err
		}
		// gorilla's answer comes in fragments, and this package hands them out one by one.
		var got []byte
		for first := true; first || len(got) < len(m.data); first = false {
			var part message
			if err := codec.Receive(connection, &part); err != nil {
				return err
			}
			if first && part.kind != m.kind {
				return fmt.Errorf("kind %d came back for kind %d", part.kind, m.kind)
			}
			got = append(got, part.data...)
		}
		if !bytes.Equal(got, m.data) {
			return fmt.Errorf("%d bytes came back for %d", len(got), len(m.data))
		}
	}

	if err := websocket.Message.Send(connection, end); err != nil {
		return err
	}
	var rest []byte
	if err := websocket.Message.Receive(connection, &rest); !errors.Is(err, io.EOF) {
		return fmt.Errorf("wanted the end, got %q and %v", rest, err)
	}
	fmt.Println("xnet ok")
	return nil
}
