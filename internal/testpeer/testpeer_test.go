package testpeer_test

import (
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/prismgate/prism/internal/testpeer"
	"github.com/prismgate/prism/runtime/h2/frame"
)

// echo answers with the body it got, and a status in the trailer.
func echo(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	w.Header().Set("Trailer", "Grpc-Status")
	_, _ = w.Write(body)
	w.Header().Set("Grpc-Status", "5")
}

func serve(t *testing.T, secure bool) (address string, config *tls.Config) {
	t.Helper()
	server := httptest.NewUnstartedServer(http.HandlerFunc(echo))
	server.EnableHTTP2 = true
	server.Config.Protocols = new(http.Protocols)
	server.Config.Protocols.SetHTTP2(true)
	server.Config.Protocols.SetUnencryptedHTTP2(true)
	if secure {
		server.StartTLS()
		config = server.Client().Transport.(*http.Transport).TLSClientConfig
		config = &tls.Config{RootCAs: config.RootCAs, ServerName: "example.com"}
	} else {
		server.Start()
	}
	t.Cleanup(server.Close)
	return server.Listener.Addr().String(), config
}

func TestAPeerCallsAndReadsTheAnswer(t *testing.T) {
	for _, secure := range []bool{false, true} {
		address, config := serve(t, secure)
		p := testpeer.Connect(t, address, testpeer.Options{TLS: config})
		p.Headers(1, 0, testpeer.GRPC("/a.B/C", "x-large", string(make([]byte, 0)))...)
		p.Data(1, 0, testpeer.Message([]byte("one")))
		p.Data(1, frame.EndStream, testpeer.Message([]byte("two")))
		response := p.Response(1)
		require.True(t, response.Ended)
		require.Nil(t, response.Reset)
		require.Equal(t, "200", response.HTTP())
		require.Equal(t, [][]byte{[]byte("one"), []byte("two")}, response.Messages())
		code, _ := response.GRPC(t)
		require.Equal(t, 5, code)
		p.Alive()
		require.False(t, p.IsClosed())
	}
}

func TestAPeerSeesErrorsOfStreamsAndOfTheConnection(t *testing.T) {
	address, _ := serve(t, false)
	p := testpeer.Connect(t, address, testpeer.Options{})
	p.Headers(1, frame.EndStream, testpeer.Without(testpeer.GRPC("/a.B/C"), ":path")...)
	p.ExpectReset(1, frame.ProtocolError)
	p.Frame(frame.Data, 0, 0, nil)
	p.ExpectConnectionError(frame.ProtocolError)
	require.True(t, p.IsClosed())
}

func TestFieldsCanBeChangedAndTakenAway(t *testing.T) {
	fields := testpeer.GRPC("/a", "x", "1")
	require.Equal(t, testpeer.GRPC("/b", "x", "1"), testpeer.With(fields, ":path", "/b"))
	require.Equal(t, testpeer.GRPC("/a"), testpeer.Without(fields, "x"))
}

func TestAPeerThatDoesNotReadSeesWhatCameLater(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { _ = listener.Close() }()
	go func() {
		conn, err := listener.Accept()
		if err == nil {
			_, _ = conn.Write(frame.AppendGoAway(nil, 7, frame.EnhanceYourCalm, "calm"))
			_ = conn.Close()
		}
	}()
	p := testpeer.Dial(t, listener.Addr().String(), testpeer.Options{NoRead: true})
	require.Empty(t, p.Frames())
	p.StartReading()
	goAway := p.ExpectConnectionError(frame.EnhanceYourCalm)
	require.Equal(t, "calm", goAway.Debug())
	require.Equal(t, uint32(7), goAway.LastStreamID())
}
