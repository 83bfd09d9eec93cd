// What Autobahn|Testsuite tests: gorilla/websocket with permessage-deflate, as a server and as a
// client that echo every message and refuse text that is not UTF-8.
//
//	endpoint serve ADDRESS [TLS-ADDRESS CERT KEY]
//	endpoint dial URL AGENT TCP-ADDRESS [CERT]   every case that the fuzzing server at URL has, whose
//	                                             number it prints; the connections go to TCP-ADDRESS,
//	                                             with TLS when URL says wss
//	endpoint report URL AGENT TCP-ADDRESS [CERT] has the server write its report
package main

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log"
	"net"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/gorilla/websocket"
)

func main() {
	log.SetFlags(0)
	switch arguments := os.Args[1:]; {
	case len(arguments) >= 2 && arguments[0] == "serve":
		serve(arguments[1], arguments[2:])
	case len(arguments) >= 4 && arguments[0] == "dial":
		dial(arguments[1], arguments[2], dialer(arguments[3], arguments[4:]))
	case len(arguments) >= 4 && arguments[0] == "report":
		// Its end says that the report is written.
		path := "/updateReports?agent=" + url.QueryEscape(arguments[2])
		open(dialer(arguments[3], arguments[4:]), arguments[1]+path).ReadMessage()
	default:
		log.Fatal("usage: endpoint serve ADDRESS [TLS-ADDRESS CERT KEY] | dial|report URL AGENT TCP-ADDRESS [CERT]")
	}
}

func echo(connection *websocket.Conn) {
	defer connection.Close()
	for {
		kind, message, err := connection.ReadMessage()
		if err != nil {
			return
		}
		if kind == websocket.TextMessage && !utf8.Valid(message) {
			frame := websocket.FormatCloseMessage(websocket.CloseInvalidFramePayloadData, "")
			connection.WriteControl(websocket.CloseMessage, frame, time.Now().Add(time.Second))
			return
		}
		if connection.WriteMessage(kind, message) != nil {
			return
		}
	}
}

func serve(address string, secure []string) {
	upgrader := websocket.Upgrader{
		EnableCompression: true,
		CheckOrigin:       func(*http.Request) bool { return true },
	}
	http.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		if connection, err := upgrader.Upgrade(w, r, nil); err == nil {
			echo(connection)
		}
	})
	if len(secure) == 3 {
		server := &http.Server{Addr: secure[0], TLSNextProto: map[string]func(*http.Server, *tls.Conn, http.Handler){}}
		go func() { log.Fatal(server.ListenAndServeTLS(secure[1], secure[2])) }()
	}
	log.Fatal(http.ListenAndServe(address, nil))
}

func dialer(address string, certificate []string) *websocket.Dialer {
	dialer := &websocket.Dialer{
		HandshakeTimeout: 20 * time.Second,
		NetDial: func(string, string) (net.Conn, error) {
			return net.DialTimeout("tcp", address, 10*time.Second)
		},
	}
	if len(certificate) == 1 {
		pem, err := os.ReadFile(certificate[0])
		if err != nil {
			log.Fatal(err)
		}
		dialer.TLSClientConfig = &tls.Config{RootCAs: x509.NewCertPool()}
		dialer.TLSClientConfig.RootCAs.AppendCertsFromPEM(pem)
	}
	return dialer
}

func open(dialer *websocket.Dialer, target string) *websocket.Conn {
	connection, _, err := dialer.Dial(target, nil)
	if err != nil {
		log.Fatal(target, ": ", err)
	}
	return connection
}

func dial(base, agent string, dialer *websocket.Dialer) {
	connection := open(dialer, base+"/getCaseCount")
	_, count, err := connection.ReadMessage()
	connection.Close()
	if err != nil {
		log.Fatal("the number of cases: ", err)
	}
	cases, err := strconv.Atoi(string(count))
	if err != nil {
		log.Fatal("the number of cases: ", err)
	}
	for number := 1; number <= cases; number++ {
		echo(open(dialer, fmt.Sprintf("%s/runCase?case=%d&agent=%s", base, number, url.QueryEscape(agent))))
	}
	fmt.Println(cases)
}
