// A server and a client with gorilla/websocket.
//
//	gorilla serve ADDRESS      the backend that recipe/backend.py describes; `drop` makes it hang up
//	gorilla dial URL CERT      a client that checks what such a backend does; exits 1 on a difference
package main

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/gorilla/websocket"
)

func main() {
	log.SetFlags(0)
	switch {
	case len(os.Args) == 3 && os.Args[1] == "serve":
		http.HandleFunc("/ws", serve)
		log.Fatal(http.ListenAndServe(os.Args[2], nil))
	case len(os.Args) == 4 && os.Args[1] == "dial":
		if err := dial(os.Args[2], os.Args[3]); err != nil {
			log.Fatal("gorilla: ", err)
		}
	default:
		log.Fatal("usage: gorilla serve ADDRESS | dial URL CERT")
	}
}

var upgrader = websocket.Upgrader{
	EnableCompression: true,
	// Small, so that long answers leave in many fragments.
	WriteBufferSize: 1024,
	Subprotocols:    []string{"second", "first"},
}

func serve(w http.ResponseWriter, r *http.Request) {
	connection, err := upgrader.Upgrade(w, r, http.Header{"X-Backend": {"gorilla"}})
	if err != nil {
		fmt.Println("refused", err)
		return
	}
	defer connection.Close()
	for {
		kind, message, err := connection.ReadMessage()
		if err != nil {
			var closed *websocket.CloseError
			if errors.As(err, &closed) {
				fmt.Println("closed", closed.Code, closed.Text)
			} else {
				fmt.Println("lost", err)
			}
			return
		}
		if string(message) == "drop" {
			return
		}
		if kind == websocket.TextMessage {
			message = answer(connection, r, message)
		}
		if message != nil && write(connection, kind, message) != nil {
			return
		}
	}
}

// answer carries out a command; what is none is the answer itself.
func answer(connection *websocket.Conn, r *http.Request, message []byte) []byte {
	words := strings.Fields(string(message))
	switch {
	case string(message) == "headers":
		headers := map[string]string{"backend": "gorilla", "path": r.RequestURI, "host": r.Host}
		for _, name := range []string{"X-Real-IP", "X-Forwarded-For", "Origin", "User-Agent"} {
			headers[strings.ToLower(name)] = r.Header.Get(name)
		}
		text, _ := json.Marshal(headers)
		return text
	case len(words) == 3 && words[0] == "close":
		code, _ := strconv.Atoi(words[1])
		frame := websocket.FormatCloseMessage(code, words[2])
		connection.WriteControl(websocket.CloseMessage, frame, time.Now().Add(time.Second))
		return nil
	}
	return message
}

func write(connection *websocket.Conn, kind int, message []byte) error {
	writer, err := connection.NextWriter(kind)
	if err != nil {
		return err
	}
	for len(message) > 0 {
		n := 1000
		if n > len(message) {
			n = len(message)
		}
		if _, err := writer.Write(message[:n]); err != nil {
			return err
		}
		message = message[n:]
	}
	return writer.Close()
}

func dial(url, certificate string) error {
	pem, err := os.ReadFile(certificate)
	if err != nil {
		return err
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	dialer := websocket.Dialer{
		TLSClientConfig:   &tls.Config{RootCAs: roots},
		EnableCompression: true,
		WriteBufferSize:   1024,
		HandshakeTimeout:  10 * time.Second,
	}
	connection, response, err := dialer.Dial(url, nil)
	if err != nil {
		return err
	}
	defer connection.Close()
	connection.SetReadDeadline(time.Now().Add(30 * time.Second))

	large := bytes.Repeat([]byte("0123456789abcdef"), 1<<16)
	for _, message := range []struct {
		kind int
		data []byte
	}{
		{websocket.TextMessage, []byte("text with ümlauts")},
		{websocket.BinaryMessage, []byte{0, 1, 2, 255}},
		{websocket.TextMessage, []byte{}},
		{websocket.BinaryMessage, large},
	} {
		if err := write(connection, message.kind, message.data); err != nil {
			return err
		}
		kind, data, err := connection.ReadMessage()
		if err != nil {
			return err
		}
		if kind != message.kind || !bytes.Equal(data, message.data) {
			return fmt.Errorf("%d bytes of kind %d came back for %d of kind %d",
				len(data), kind, len(message.data), message.kind)
		}
	}

	ponged := make(chan string, 1)
	connection.SetPongHandler(func(payload string) error { ponged <- payload; return nil })
	deadline := time.Now().Add(5 * time.Second)
	if err := connection.WriteControl(websocket.PingMessage, []byte("ours"), deadline); err != nil {
		return err
	}
	if err := write(connection, websocket.TextMessage, []byte("close 4003 enough")); err != nil {
		return err
	}
	_, _, err = connection.ReadMessage()
	var closed *websocket.CloseError
	if !errors.As(err, &closed) || closed.Code != 4003 || closed.Text != "enough" {
		return fmt.Errorf("wanted a close with 4003 enough, got: %v", err)
	}
	select {
	case payload := <-ponged:
		if payload != "ours" {
			return fmt.Errorf("a pong with %q", payload)
		}
	default:
		return errors.New("no pong")
	}
	fmt.Printf("gorilla ok, extensions: %s\n", response.Header.Get("Sec-WebSocket-Extensions"))
	return nil
}
