package h2_test

// What a server must withstand, and the rules that bite, with the tests that say so. Tests of runtime/grpcserver and runtime/listen are marked (g) and (l).
//
//	limit of streams                      TestMoreStreamsThanAllowedAreRefused
//	limit of the header list              TestAHeaderThatIsTooLargeIsAnsweredAndTheConnectionGoesOn
//	limit of the table, HPACK bombs       TestAnHPACKBombIsAHeaderThatIsTooLarge, TestATableSizeBeyondTheSettingIsAnError
//	CONTINUATION flood                    TestAContinuationFloodEndsTheConnection
//	rapid reset                           TestRapidResetStartsNoMoreThanTheStreamsAllowed
//	rapid reset, made by the server       TestResetsThatAPeerProvokesCountAsItsOwn
//	floods                                TestFloodsEndTheConnection, TestPingsFollowTheRuleOfGRPC
//	a peer that never opens its window    TestAResponseThatWaitsForTheWindowIsCut
//	a peer that never reads               TestAPeerThatNeverReads* (each way to make the server write)
//	a preface that never comes            TestAPrefaceThatDoesNotComeEndsTheConnection, TestAWrongPrefaceIsAnError
//	half-open connections                 TestAConnectionWithoutStreamsEndsInTwoSteps, TestTheEndOfAPeerCancelsItsCalls
//	bodies larger than declared           TestABodyMustBeAsLongAsDeclared
//	bodies larger than allowed            TestABodyBeyondThePlanOverflows, TestMessagesBeyondTheLimit (g)
//	padding tricks                        TestPaddingCountsInTheWindows, TestPaddingIsNoLongerThanItsFrame
//	streams reused, even, out of order    TestIdentifiersOfStreams
//	gzip and zstd bombs                   TestBombsAreTooLarge (g)
//	invalid UTF-8, upper case, smuggling  TestMalformedRequestsAreReset, TestWhatIsWellFormedIsServed
//	connection-specific fields            TestMalformedRequestsAreReset
//	a TLS peer that stalls                TestAHandshakeThatStallsIsCutOff (l)
//	GOAWAY in two steps                   TestADrainServesWhatWasUnderWay
//	windows and memory                    TestMemoryPressure*, TestDataOnStreamsThatAreOverOpensTheConnectionsWindow
//	closing                               TestAConnectionErrorArrivesThoughInputIsUnread
//	SETTINGS                              TestSettingsApplyInTheirOrder, TestASmallerTableIsAcknowledged, TestManySettingsCostTheAllowance
//	blocks of refused streams             TestTheBlockOfARefusedStreamIsDecoded
//	the end before the peer's             TestAResponseBeforeTheRequestsEnd
//	the clear port, TLS, EMFILE           runtime/listen
//	cookies, Host, Expect                 TestCookieCrumbsAreOneCookie, TestMalformedRequestsAreReset, TestExpectContinue
//	identifiers run out                   TestAConnectionIsGivenUpBeforeItsIdentifiersRunOut

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/prismgate/prism/internal/testpeer"
	"github.com/prismgate/prism/runtime/h2"
	"github.com/prismgate/prism/runtime/h2/frame"
)

func TestMoreStreamsThanAllowedAreRefused(t *testing.T) {
	t.Parallel()
	f := start(t, h2.Limits{MaxStreams: 5})
	f.neighbour()
	p := f.connect()
	settings := p.Frames()[0].Settings()
	require.Contains(t, settings, frame.Setting{ID: frame.MaxConcurrentStreams, Value: 5})
	for id := uint32(1); id < 10; id += 2 {
		p.Headers(id, frame.EndStream, fields("GET", "/wait")...)
	}
	for id := uint32(11); id < 31; id += 2 {
		p.Headers(id, 0, post("/quick")...)
		p.ExpectReset(id, frame.RefusedStream)
	}
	require.Equal(t, int64(10), f.refused(h2.RefusedStreams))
	p.Reset(1, frame.Cancel)
	require.ErrorContains(t, <-f.ended, "canceled")
	f.eventually(func() bool { return f.running.Load() == 4 }, "the handler ends")
	call(t, p, 31)
}

func TestRapidResetStartsNoMoreThanTheStreamsAllowed(t *testing.T) {
	t.Parallel()
	f := start(t, h2.Limits{MaxStreams: 10, FloodAllowance: 300})
	f.neighbour()
	p := f.connect()
	for id := uint32(1); id < 2000 && !p.IsClosed(); id += 2 {
		b := frame.AppendHeaders(nil, id, frame.EndStream, p.Block(fields("GET", "/stubborn")...), frame.DefaultMaxSize)
		p.Send(frame.AppendRSTStream(b, id, frame.Cancel))
	}
	p.ExpectGoAway(frame.EnhanceYourCalm)
	require.LessOrEqual(t, f.most.Load(), int64(10))
	require.LessOrEqual(t, f.begun.Load(), int64(10))
	require.Equal(t, int64(1), f.refused(h2.EndedFlood))
	require.Positive(t, f.refused(h2.RefusedStreams))
	close(f.release)
}

func TestAHandlerThatWasResetCountsUntilItReturns(t *testing.T) {
	t.Parallel()
	f := start(t, h2.Limits{MaxStreams: 2})
	p := f.connect()
	for _, id := range []uint32{1, 3} {
		p.Headers(id, frame.EndStream, fields("GET", "/stubborn")...)
	}
	f.eventually(func() bool { return f.running.Load() == 2 }, "they run")
	p.Reset(1, frame.Cancel)
	p.Reset(3, frame.Cancel)
	p.Headers(5, frame.EndStream, fields("GET", "/quick")...)
	p.ExpectReset(5, frame.RefusedStream)
	close(f.release)
	f.eventually(func() bool { return f.running.Load() == 0 }, "they end")
	for id := uint32(7); ; id += 2 {
		p.Headers(id, frame.EndStream, fields("GET", "/quick")...)
		if r := p.Response(id); r.Reset == nil {
			break // the last moment of a handler is not to be seen from here
		}
		require.Less(t, id, uint32(1000))
	}
}

// TestResetsThatAPeerProvokesCountAsItsOwn is "MadeYouReset": the peer breaks a rule of a stream, so that the server resets it and the handler runs on.
func TestResetsThatAPeerProvokesCountAsItsOwn(t *testing.T) {
	t.Parallel()
	ways := map[string]func(p *testpeer.Peer, id uint32) []byte{
		"a window that overflows": func(_ *testpeer.Peer, id uint32) []byte { return frame.AppendWindowUpdate(nil, id, frame.MaxWindow) },
		"an update by nothing":    func(_ *testpeer.Peer, id uint32) []byte { return frame.AppendWindowUpdate(nil, id, 0) },
		"malformed trailers": func(p *testpeer.Peer, id uint32) []byte {
			return frame.AppendHeaders(nil, id, frame.EndStream, p.Block(":path", "/"), frame.DefaultMaxSize)
		},
		"trailers that do not end": func(p *testpeer.Peer, id uint32) []byte {
			return frame.AppendHeaders(nil, id, 0, p.Block("x", "y"), frame.DefaultMaxSize)
		},
		"data beyond the length": func(_ *testpeer.Peer, id uint32) []byte { return frame.AppendData(nil, id, 0, make([]byte, 11)) },
		"data after the end": func(_ *testpeer.Peer, id uint32) []byte {
			return frame.AppendData(frame.AppendData(nil, id, frame.EndStream, make([]byte, 10)), id, 0, []byte("x"))
		},
		"a priority that depends on itself": func(_ *testpeer.Peer, id uint32) []byte {
			b := frame.AppendHeader(nil, frame.Header{Length: 5, Type: frame.Priority, StreamID: id})
			return append(b, 0, 0, byte(id>>8), byte(id), 0)
		},
		"a priority of another size": func(_ *testpeer.Peer, id uint32) []byte {
			return append(frame.AppendHeader(nil, frame.Header{Length: 1, Type: frame.Priority, StreamID: id}), 0)
		},
	}
	for name, provoke := range ways {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := start(t, h2.Limits{MaxStreams: 10, FloodAllowance: 200})
			f.neighbour()
			p := f.connect()
			for id := uint32(1); id < 2000 && !p.IsClosed(); id += 2 {
				p.Headers(id, 0, post("/stubborn", "content-length", "10")...)
				p.Send(provoke(p, id))
			}
			p.ExpectGoAway(frame.EnhanceYourCalm)
			require.LessOrEqual(t, f.most.Load(), int64(10))
			require.Equal(t, int64(1), f.refused(h2.EndedFlood))
			close(f.release)
		})
	}
}

// What the server's own handlers abort is not the peer's doing.
func TestResetsThatAHandlerMakesDoNotCount(t *testing.T) {
	t.Parallel()
	f := start(t, h2.Limits{FloodAllowance: 20})
	p := f.connectWith(testpeer.Options{Settings: []frame.Setting{{ID: frame.InitialWindowSize, Value: 1 << 16}}})
	id := uint32(1)
	for range 20 {
		for range 10 {
			p.Headers(id, frame.EndStream, fields("GET", "/abort")...)
			p.ExpectReset(id, frame.InternalError)
			id += 2
		}
	}
	p.Send(frame.AppendWindowUpdate(nil, 0, 1)) // the last straw, if they did
	call(t, p, id)
	require.Zero(t, f.refused(h2.EndedFlood))
	require.Zero(t, f.panics.Load(), "http.ErrAbortHandler is no defect")
}

func TestAHandlerThatPanicsEndsItsStreamOnly(t *testing.T) {
	t.Parallel()
	f := start(t, h2.Limits{})
	p := f.connect()
	p.Headers(1, frame.EndStream, fields("GET", "/panic")...)
	p.ExpectReset(1, frame.InternalError)
	call(t, p, 3)
	f.eventually(func() bool { return f.panics.Load() == 1 }, "it is logged")
}

func TestAContinuationFloodEndsTheConnection(t *testing.T) {
	t.Parallel()
	continuation := func(payload []byte) []byte {
		b := frame.AppendHeader(nil, frame.Header{Length: uint32(len(payload)), Type: frame.Continuation, StreamID: 1})
		return append(b, payload...)
	}
	for name, payload := range map[string][]byte{"empty": nil, "small": {0x82}, "large": bytes.Repeat([]byte{0x82}, 16_000)} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := start(t, h2.Limits{})
			f.neighbour()
			p := f.connect()
			p.Frame(frame.Headers, frame.EndStream, 1, p.Block(fields("GET", "/quick")...))
			for range 70 {
				p.Send(continuation(payload))
			}
			p.ExpectGoAway(frame.EnhanceYourCalm)
			require.Equal(t, int64(1), f.refused(h2.EndedHeader))
		})
	}
}

func TestABlockInManyFramesIsServed(t *testing.T) {
	t.Parallel()
	f := start(t, h2.Limits{})
	p := f.connect()
	block := p.Block(fields("GET", "/quick", "x-filler", "filler that takes a while")...)
	p.Frame(frame.Headers, frame.EndStream, 1, block[:1])
	for _, b := range block[1 : len(block)-1] {
		p.Frame(frame.Continuation, 0, 1, []byte{b})
	}
	p.Frame(frame.Continuation, frame.EndHeaders, 1, block[len(block)-1:])
	answers(t, p, 1, "200", "hello")
}

// floods are frames that cost work and give none. id is a stream that is open, over one that is over.
func floods(open, over uint32) map[string][]byte {
	settings := make([]frame.Setting, 4)
	for i := range settings {
		settings[i] = frame.Setting{ID: frame.InitialWindowSize, Value: uint32(1003 - i)}
	}
	padded := frame.AppendHeader(nil, frame.Header{Length: 10, Type: frame.Data, Flags: frame.Padded, StreamID: open})
	goAway := frame.AppendGoAway(nil, 0, frame.NoError, "")
	priority := frame.AppendHeader(nil, frame.Header{Length: 5, Type: frame.Priority, StreamID: open})
	return map[string][]byte{
		"SETTINGS":                          frame.AppendSettings(nil, settings...),
		"SETTINGS without any":              frame.AppendSettings(nil),
		"SETTINGS acknowledged":             frame.AppendSettingsAck(nil),
		"PING acknowledged":                 frame.AppendPing(nil, true, [8]byte{}),
		"PRIORITY":                          append(priority, 0, 0, 0, 0, 0),
		"empty DATA":                        frame.AppendData(nil, open, 0, nil),
		"DATA of nothing but padding":       append(padded, 9, 0, 0, 0, 0, 0, 0, 0, 0, 0),
		"empty DATA on a stream that ended": frame.AppendData(nil, over, 0, nil),
		"an unknown type":                   frame.AppendHeader(nil, frame.Header{Type: 0xfa, StreamID: open}),
		"WINDOW_UPDATE":                     frame.AppendWindowUpdate(nil, 0, 1),
		"WINDOW_UPDATE of a stream":         frame.AppendWindowUpdate(nil, open, 1),
		"WINDOW_UPDATE of one that ended":   frame.AppendWindowUpdate(nil, over, 1),
		"RST_STREAM of one that ended":      frame.AppendRSTStream(nil, over, frame.Cancel),
		"GOAWAY":                            goAway,
	}
}

func TestFloodsEndTheConnection(t *testing.T) {
	t.Parallel()
	for name, one := range floods(1, 3) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := start(t, h2.Limits{})
			f.neighbour()
			p := f.connectWith(testpeer.Options{Settings: []frame.Setting{{ID: frame.InitialWindowSize, Value: 1000}}})
			p.Headers(1, 0, post("/wait")...)
			call(t, p, 3)
			p.Expect("the end of stream 3", func(f testpeer.Frame) bool { return f.StreamID == 3 && f.Flags.Has(frame.EndStream) })
			p.Send(bytes.Repeat(one, 2000)) // twice the allowance: time allows a tenth of it a second
			p.ExpectGoAway(frame.EnhanceYourCalm)
			_ = p.ExpectClosed()
			require.Equal(t, int64(1), f.refused(h2.EndedFlood))
			require.ErrorContains(t, <-f.ended, "canceled")
			require.Less(t, f.server.Stats().Memory, int64(1<<20))
		})
	}
}

// Time forgives: a peer that sends a few of them now and then is left alone.
func TestFewerFramesThanTheAllowanceAreNoFlood(t *testing.T) {
	t.Parallel()
	for name, one := range floods(1, 3) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if name == "GOAWAY" {
				t.Skip("it is the last that a peer says")
			}
			f := start(t, h2.Limits{})
			p := f.connectWith(testpeer.Options{Settings: []frame.Setting{{ID: frame.InitialWindowSize, Value: 1000}}})
			p.Headers(1, 0, post("/wait")...)
			call(t, p, 3)
			p.Send(bytes.Repeat(one, 500))
			call(t, p, 5)
			require.Zero(t, f.refused(h2.EndedFlood))
		})
	}
}

// A window that changes is work for each stream, so a frame of SETTINGS may not change it thousands of times.
func TestManySettingsCostTheAllowance(t *testing.T) {
	t.Parallel()
	f := start(t, h2.Limits{})
	f.neighbour()
	p := f.connect()
	for id := uint32(1); id < 500; id += 2 {
		p.Headers(id, 0, post("/wait")...)
	}
	var settings []frame.Setting
	for i := range 2700 {
		settings = append(settings, frame.Setting{ID: frame.InitialWindowSize, Value: uint32(1000 + i%2)})
	}
	p.Send(frame.AppendSettings(nil, settings...))
	p.ExpectGoAway(frame.EnhanceYourCalm)
	require.Equal(t, int64(1), f.refused(h2.EndedFlood))
}

func TestPingsFollowTheRuleOfGRPC(t *testing.T) {
	t.Parallel()
	f := start(t, h2.Limits{MinPingInterval: time.Minute})
	f.neighbour()
	p := f.connect()
	p.Alive() // the first is never too soon
	p.Alive()
	p.Alive() // two that come too soon are forgiven
	call(t, p, 1)
	for range 3 { // what was sent forgives all, and the next one is the first again
		p.Alive()
	}
	p.Send(frame.AppendPing(nil, false, [8]byte{1}))
	goAway := p.ExpectConnectionError(frame.EnhanceYourCalm)
	require.Equal(t, "too_many_pings", goAway.Debug())
	require.Equal(t, int64(1), f.refused(h2.EndedPings))
}

func TestPingsThatAreFarApartAreAnswered(t *testing.T) {
	t.Parallel()
	f := start(t, h2.Limits{MinPingInterval: time.Millisecond})
	p := f.connect()
	for range 20 {
		p.Alive()
		time.Sleep(2 * time.Millisecond)
	}
	require.Zero(t, f.refused(h2.EndedPings))
}

func TestAPrefaceThatDoesNotComeEndsTheConnection(t *testing.T) {
	t.Parallel()
	for name, sent := range map[string]string{"nothing": "", "some of it": frame.Preface[:10], "no SETTINGS": frame.Preface, "some of SETTINGS": frame.Preface + "\x00\x00\x06\x04"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := start(t, h2.Limits{HandshakeTimeout: 50 * time.Millisecond})
			f.neighbour()
			p := testpeer.Dial(t, f.address, testpeer.Options{NoAck: true})
			p.Send([]byte(sent))
			_ = p.ExpectClosed()
			require.Equal(t, int64(1), f.refused(h2.EndedHandshake))
			f.eventually(func() bool { return f.server.Stats().Connections <= 1 }, "it is forgotten")
		})
	}
}

func TestAWrongPrefaceIsAnError(t *testing.T) {
	t.Parallel()
	f := start(t, h2.Limits{})
	for name, sent := range map[string][]byte{
		"another method":      []byte("GET / HTTP/1.1\r\nHost: a\r\n\r\n"),
		"a PING first":        frame.AppendPing([]byte(frame.Preface), false, [8]byte{}),
		"an acknowledgement":  frame.AppendSettingsAck([]byte(frame.Preface)),
		"a request first":     frame.AppendHeaders([]byte(frame.Preface), 1, frame.EndStream, []byte{0x82, 0x84, 0x86}, frame.DefaultMaxSize),
		"an unknown one":      frame.AppendHeader([]byte(frame.Preface), frame.Header{Type: 99}),
		"a frame that is too": frame.AppendHeader([]byte(frame.Preface), frame.Header{Length: 16_385, Type: frame.Settings}),
	} {
		t.Run(name, func(t *testing.T) {
			p := testpeer.Dial(t, f.address, testpeer.Options{NoAck: true})
			p.Send(sent)
			p.ExpectConnectionError(frame.ProtocolError, frame.FrameSizeError)
			first := p.Frames()[0]
			require.Equal(t, frame.Settings, first.Type, "the server's preface comes first")
		})
	}
	require.Equal(t, int64(6), f.refused(h2.EndedProtocol))
}

func TestConnectionErrorsOfFrames(t *testing.T) {
	t.Parallel()
	f := start(t, h2.Limits{})
	f.neighbour()
	raw := func(kind frame.Type, flags frame.Flags, id uint32, payload ...byte) []byte {
		return append(frame.AppendHeader(nil, frame.Header{Length: uint32(len(payload)), Type: kind, Flags: flags, StreamID: id}), payload...)
	}
	cases := map[string]struct {
		sent []byte
		code frame.ErrorCode
	}{
		"DATA without a stream":              {raw(frame.Data, 0, 0), frame.ProtocolError},
		"DATA of no padding":                 {raw(frame.Data, frame.Padded, 1), frame.FrameSizeError},
		"DATA on an idle stream":             {raw(frame.Data, 0, 99), frame.ProtocolError},
		"DATA on a server's stream":          {raw(frame.Data, 0, 2, 1), frame.ProtocolError},
		"HEADERS without a stream":           {raw(frame.Headers, frame.EndHeaders, 0), frame.ProtocolError},
		"HEADERS on a server's stream":       {raw(frame.Headers, frame.EndHeaders, 4), frame.ProtocolError},
		"HEADERS shorter than its priority":  {raw(frame.Headers, frame.EndHeaders|frame.HasPriority, 3, 0, 0), frame.FrameSizeError},
		"HEADERS that do not decode":         {raw(frame.Headers, frame.EndHeaders, 3, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff), frame.CompressionError},
		"HEADERS that end in a field":        {raw(frame.Headers, frame.EndHeaders, 3, 0x40, 5, 'a'), frame.CompressionError},
		"HEADERS with an index of nothing":   {raw(frame.Headers, frame.EndHeaders, 3, 0xff, 0xff, 0x7f), frame.CompressionError},
		"CONTINUATION of nothing":            {raw(frame.Continuation, frame.EndHeaders, 3), frame.ProtocolError},
		"a frame within a block":             {append(raw(frame.Headers, 0, 3, 0x82), raw(frame.Ping, 0, 0, make([]byte, 8)...)...), frame.ProtocolError},
		"CONTINUATION of another stream":     {append(raw(frame.Headers, 0, 3, 0x82), raw(frame.Continuation, 0, 5)...), frame.ProtocolError},
		"PRIORITY without a stream":          {raw(frame.Priority, 0, 0, 0, 0, 0, 0, 0), frame.ProtocolError},
		"RST_STREAM without a stream":        {raw(frame.RSTStream, 0, 0, 0, 0, 0, 0), frame.ProtocolError},
		"RST_STREAM of an idle stream":       {raw(frame.RSTStream, 0, 99, 0, 0, 0, 0), frame.ProtocolError},
		"RST_STREAM of a server's stream":    {raw(frame.RSTStream, 0, 0x2, 0, 0, 0, 0), frame.ProtocolError},
		"RST_STREAM of three bytes":          {raw(frame.RSTStream, 0, 1, 0, 0, 0), frame.FrameSizeError},
		"SETTINGS on a stream":               {raw(frame.Settings, 0, 1), frame.ProtocolError},
		"SETTINGS of five bytes":             {raw(frame.Settings, 0, 0, 0, 0, 0, 0, 0), frame.FrameSizeError},
		"SETTINGS that acknowledge and set":  {raw(frame.Settings, frame.Ack, 0, 0, 1, 0, 0, 0, 0), frame.FrameSizeError},
		"SETTINGS with push of two":          {frame.AppendSettings(nil, frame.Setting{ID: frame.EnablePush, Value: 2}), frame.ProtocolError},
		"SETTINGS with a window too large":   {frame.AppendSettings(nil, frame.Setting{ID: frame.InitialWindowSize, Value: 1 << 31}), frame.FlowControlError},
		"SETTINGS with frames too small":     {frame.AppendSettings(nil, frame.Setting{ID: frame.MaxFrameSize, Value: 16_383}), frame.ProtocolError},
		"SETTINGS with frames too large":     {frame.AppendSettings(nil, frame.Setting{ID: frame.MaxFrameSize, Value: 1 << 24}), frame.ProtocolError},
		"PUSH_PROMISE":                       {raw(frame.PushPromise, frame.EndHeaders, 1, 0, 0, 0, 2), frame.ProtocolError},
		"PING on a stream":                   {raw(frame.Ping, 0, 1, make([]byte, 8)...), frame.ProtocolError},
		"PING of seven bytes":                {raw(frame.Ping, 0, 0, make([]byte, 7)...), frame.FrameSizeError},
		"GOAWAY on a stream":                 {raw(frame.GoAway, 0, 1, make([]byte, 8)...), frame.ProtocolError},
		"GOAWAY of seven bytes":              {raw(frame.GoAway, 0, 0, make([]byte, 7)...), frame.FrameSizeError},
		"WINDOW_UPDATE of five bytes":        {raw(frame.WindowUpdate, 0, 0, make([]byte, 5)...), frame.FrameSizeError},
		"WINDOW_UPDATE by nothing":           {frame.AppendWindowUpdate(nil, 0, 0), frame.ProtocolError},
		"WINDOW_UPDATE beyond the largest":   {frame.AppendWindowUpdate(nil, 0, frame.MaxWindow), frame.FlowControlError},
		"WINDOW_UPDATE of an idle stream":    {frame.AppendWindowUpdate(nil, 99, 1), frame.ProtocolError},
		"WINDOW_UPDATE of a server's stream": {frame.AppendWindowUpdate(nil, 2, 1), frame.ProtocolError},
		"a frame of more than 16,384 bytes":  {frame.AppendHeader(nil, frame.Header{Length: 16_385, Type: frame.Data, StreamID: 1}), frame.FrameSizeError},
		"an unknown frame of more than that": {frame.AppendHeader(nil, frame.Header{Length: 16_385, Type: 0x77}), frame.FrameSizeError},
		"HEADERS on a stream that is over":   {raw(frame.Headers, frame.EndHeaders|frame.EndStream, 3, 0x82), frame.StreamClosed},
		"HEADERS on one that was skipped":    {raw(frame.Headers, frame.EndHeaders|frame.EndStream, 5, 0x82), frame.ProtocolError},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			before := f.refused(h2.EndedProtocol)
			p := testpeer.Connect(t, f.address, testpeer.Options{})
			p.Headers(1, 0, post("/wait")...)
			if name == "HEADERS on a stream that is over" || name == "HEADERS on one that was skipped" {
				call(t, p, 3)
				call(t, p, 7)
				p.Send(c.sent)
			} else {
				p.Headers(1, frame.EndStream, "x-trailer", "1")
				if strings.HasSuffix(name, "a server's stream") {
					call(t, p, 7) // an identifier that is lower is no stream that was open either
				}
				p.Send(c.sent)
			}
			goAway := p.ExpectGoAway(c.code)
			require.LessOrEqual(t, goAway.LastStreamID(), uint32(7))
			require.NotEmpty(t, goAway.Debug())
			_ = p.ExpectClosed()
			require.Equal(t, before+1, f.refused(h2.EndedProtocol))
			f.eventually(func() bool { return f.running.Load() == 0 }, "the handler ends")
		})
	}
}

func TestIdentifiersOfStreams(t *testing.T) {
	t.Parallel()
	f := start(t, h2.Limits{})
	f.neighbour()
	block := func(p *testpeer.Peer, id uint32) {
		p.Headers(id, frame.EndStream, fields("GET", "/quick")...)
	}
	for name, c := range map[string]struct {
		ids  []uint32
		code frame.ErrorCode
	}{
		"even":       {[]uint32{2}, frame.ProtocolError},
		"reused":     {[]uint32{1, 1}, frame.StreamClosed},
		"descending": {[]uint32{5, 3}, frame.ProtocolError},
		"zero":       {[]uint32{0}, frame.ProtocolError},
	} {
		t.Run(name, func(t *testing.T) {
			p := testpeer.Connect(t, f.address, testpeer.Options{})
			for i, id := range c.ids {
				block(p, id)
				if i < len(c.ids)-1 {
					answers(t, p, id, "200", "hello")
				}
			}
			p.ExpectConnectionError(c.code)
		})
	}
	t.Run("skipped", func(t *testing.T) {
		p := testpeer.Connect(t, f.address, testpeer.Options{})
		for _, id := range []uint32{1, 9, 1001} {
			call(t, p, id)
		}
	})
}

func TestAConnectionIsGivenUpBeforeItsIdentifiersRunOut(t *testing.T) {
	t.Parallel()
	f := start(t, h2.Limits{})
	p := f.connect()
	call(t, p, 1)
	call(t, p, frame.MaxStreamID-1<<20)
	goAway := p.ExpectGoAway(frame.NoError)
	require.Equal(t, uint32(frame.MaxStreamID), goAway.LastStreamID())
	goAway = p.ExpectGoAway(frame.NoError)
	require.Equal(t, uint32(frame.MaxStreamID-1<<20), goAway.LastStreamID())
	require.Error(t, p.ExpectClosed())
}

func TestAConnectionErrorArrivesThoughInputIsUnread(t *testing.T) {
	t.Parallel()
	f := start(t, h2.Limits{})
	for i := range 20 {
		p := f.connect()
		call(t, p, 1)
		b := frame.AppendData(nil, 0, 0, nil)                              // the error
		b = append(b, bytes.Repeat([]byte(fmt.Sprint("x", i)), 20_000)...) // and what nobody reads
		p.Send(b)
		p.ExpectConnectionError(frame.ProtocolError)
	}
}

// The end of a call must not cut the time short in which the peer reads why its connection ends.
func TestAConnectionErrorArrivesThoughTheLastCallEnds(t *testing.T) {
	t.Parallel()
	f := start(t, h2.Limits{})
	for range 10 {
		p := f.connect()
		p.Headers(1, 0, post("/wait")...)
		p.Send(frame.AppendGoAway(nil, 0, frame.NoError, ""))
		f.eventually(func() bool { return f.running.Load() == 1 }, "it runs")
		p.Frame(frame.Ping, 0, 1, make([]byte, 8))
		for range 20 {
			p.Send(make([]byte, 1000))
			time.Sleep(time.Millisecond)
		}
		p.ExpectConnectionError(frame.ProtocolError)
		p.Close()
		require.Error(t, <-f.ended)
	}
}

func TestTheEndOfAPeerCancelsItsCalls(t *testing.T) {
	t.Parallel()
	f := start(t, h2.Limits{})
	f.neighbour()
	for _, leave := range []func(*testpeer.Peer){(*testpeer.Peer).Close, (*testpeer.Peer).CloseWrite} {
		p := f.connect()
		for id := uint32(1); id < 100; id += 2 {
			p.Headers(id, 0, post("/wait")...)
		}
		f.eventually(func() bool { return f.running.Load() == 50 }, "they run")
		leave(p)
		for range 50 {
			require.ErrorContains(t, <-f.ended, "canceled")
		}
		f.eventually(func() bool { return f.server.Stats().Connections <= 1 }, "it is forgotten")
	}
}
