package wire_test

import (
	"context"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"maps"
	"strings"
	"testing"

	"github.com/haechi-dev/haechi/door/wire"
	"github.com/haechi-dev/haechi/door/wire/wiretest"
	"github.com/haechi-dev/haechi/word/fault"
)

// messages takes an event stream apart: the headers of each message, and its payload under "".
func messages(t *testing.T, b []byte) (all []map[string]string) {
	t.Helper()
	for len(b) > 0 {
		size, head := binary.BigEndian.Uint32(b), binary.BigEndian.Uint32(b[4:])
		if binary.BigEndian.Uint32(b[8:]) != crc32.ChecksumIEEE(b[:8]) || binary.BigEndian.Uint32(b[size-4:]) != crc32.ChecksumIEEE(b[:size-4]) {
			t.Fatalf("a sum is wrong: %q", b[:size])
		}
		m := map[string]string{"": string(b[12+head : size-4])}
		for h := b[12 : 12+head]; len(h) > 0; {
			name := string(h[1 : 1+h[0]])
			if h = h[1+h[0]:]; h[0] != 7 {
				t.Fatalf("%s is no text", name)
			}
			n := binary.BigEndian.Uint16(h[1:])
			m[name], h = string(h[3:3+n]), h[3+n:]
		}
		all, b = append(all, m), b[size:]
	}
	return all
}

// An operation with a stream answers with its events, as messages whose sums are right, and ends with an error of the
// model where there is one; what is wrong before it begins is an answer like all others.
func TestStream(t *testing.T) {
	var end error
	s := wiretest.Serve(t, wiretest.Options{}, service(t, "logs", map[string]wire.Operation{
		"StartLiveTail": wire.StreamOp(wire.AskAll, func(_ context.Context, _ *wire.Call, in *struct {
			Pattern string `json:"logEventFilterPattern"`
		}) (func(context.Context, wire.Send) error, error) {
			if in.Pattern == "bad" {
				return nil, fault.Invalid.Errorf("bad")
			}
			return func(_ context.Context, send wire.Send) error {
				return errors.Join(send("sessionStart", map[string]string{"requestId": in.Pattern}), end)
			}, nil
		}),
	}))
	call := func(pattern string) (string, []byte) {
		r, body := s.Call(t, "logs", "POST", "/", "Logs_20140328.StartLiveTail", `{"logGroupIdentifiers":["g"],"logEventFilterPattern":"`+pattern+`"}`)
		return r.Header.Get("Content-Type"), body
	}
	event := func(name, kind, payload string) map[string]string {
		return map[string]string{":message-type": "event", ":event-type": name, ":content-type": kind, "": payload}
	}
	opening := []map[string]string{event("initial-response", "application/x-amz-json-1.1", "{}"), event("sessionStart", "application/json", `{"requestId":"é"}`)}
	for _, c := range []struct {
		err  error
		last map[string]string
	}{
		{nil, nil},
		{wire.Errorf("SessionTimeoutException", "over"), map[string]string{":message-type": "exception", ":exception-type": "SessionTimeoutException", ":content-type": "application/json", "": `{"message":"over"}`}},
		{errors.New("secret of ours"), map[string]string{":message-type": "error", ":error-code": "InternalFailure", ":error-message": "internal failure", "": ""}},
	} {
		end = c.err
		kind, body := call("é")
		got, want := messages(t, body), opening
		if c.last != nil {
			want = append(want[:2:2], c.last)
		}
		if kind != "application/vnd.amazon.eventstream" || len(got) != len(want) {
			t.Fatalf("%s: %v", kind, got)
		}
		for i := range want {
			if !maps.Equal(got[i], want[i]) {
				t.Errorf("%d: %v, want %v", i, got[i], want[i])
			}
		}
	}
	if kind, body := call("bad"); kind != "application/x-amz-json-1.1" || !strings.Contains(string(body), `"message":"bad"`) {
		t.Errorf("%s: %s", kind, body)
	}
}
