package wire

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"net/http"
	"slices"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/haechi-dev/haechi/lang/iam"
)

// Some operations answer with events that go out as they come: messages of
// application/vnd.amazon.eventstream, one after the other, for as long as the
// caller listens.

// Send sends an event of an operation's stream, by its name in the model. Its
// error says that nobody listens any more.
type Send func(event string, payload any) error

// StreamOp answers an operation of the json protocol with events. answer looks at the input and
// says, where it is well, how the events are made: as long as ctx has not ended. An error of the
// model (Errorf) that ends the stream is sent as its last message.
func StreamOp[In any](asks func(*Call, *In) []iam.Request, answer func(context.Context, *Call, *In) (func(ctx context.Context, send Send) error, error)) Operation {
	return Op(asks, func(ctx context.Context, c *Call, in *In) (*streamed, error) {
		run, err := answer(ctx, c, in)
		return &streamed{run: run}, err
	})
}

// streamed is what a StreamOp answers.
type streamed struct {
	run func(ctx context.Context, send Send) error
}

// slowest is how long a caller may take to read a message.
const slowest = 30 * time.Second

// sendStream sends the messages of a stream.
func (a *answer) sendStream(w http.ResponseWriter, r *http.Request) {
	out := http.NewResponseController(w)
	write := func(message []byte) error {
		if err := out.SetWriteDeadline(time.Now().Add(slowest)); err != nil && !errors.Is(err, http.ErrNotSupported) {
			return err
		}
		if _, err := w.Write(message); err != nil {
			return err
		}
		return out.Flush()
	}
	m, events := a.model, a.model.Shapes[a.model.streamOf(a.operation)]
	if write(message("{}", ":event-type", "initial-response", ":content-type", jsonType(m), ":message-type", "event")) != nil {
		return
	}
	err := a.stream.run(r.Context(), func(event string, payload any) error {
		text, err := m.event(events, event, payload)
		if err != nil {
			return err
		}
		return write(message(text, ":event-type", event, ":content-type", "application/json", ":message-type", "event"))
	})
	var said *Error
	switch {
	case err == nil || r.Context().Err() != nil:
	case errors.As(err, &said) && slices.ContainsFunc(events.Members, func(e member) bool { return e.Name == said.Code }):
		text, _ := json.Marshal(struct {
			Message string `json:"message"`
		}{said.Message}, jsontext.AllowInvalidUTF8(true))
		_ = write(message(string(text), ":exception-type", said.Code, ":content-type", "application/json", ":message-type", "exception"))
	default:
		a.broken(err)
		_ = write(message("", ":error-code", "InternalFailure", ":error-message", "internal failure", ":message-type", "error"))
	}
}

// event writes the payload of an event as its shape has it.
func (m *Model) event(events *modelType, name string, payload any) (string, error) {
	i, known := events.index[name]
	if !known {
		return "", fmt.Errorf("the stream has no event %s", name)
	}
	text, err := json.Marshal(payload, json.Deterministic(true), jsontext.AllowInvalidUTF8(true))
	if err != nil {
		return "", err
	}
	w := walk{model: m, limits: Limits{Depth: 1000, Elements: 1<<31 - 1}, way: outward}
	text, err = w.do(events.Members[i].Shape, text)
	return string(text), err
}

// streamOf is the shape of an operation's events: the one member of its output.
func (m *Model) streamOf(operation string) string {
	o := m.Operations[operation]
	if o == nil || m.Shapes[o.Output] == nil || len(m.Shapes[o.Output].Members) != 1 {
		return ""
	}
	return m.Shapes[o.Output].Members[0].Shape
}

// message is a message with headers that are texts: names and values in turn.
func message(payload string, headers ...string) []byte {
	var head []byte
	for i := 0; i < len(headers); i += 2 {
		head = append(append(head, byte(len(headers[i]))), headers[i]...)
		head = append(head, 7) // a text
		head = binary.BigEndian.AppendUint16(head, uint16(len(headers[i+1])))
		head = append(head, headers[i+1]...)
	}
	const around = 16 // two lengths, two sums
	b := binary.BigEndian.AppendUint32(nil, uint32(around+len(head)+len(payload)))
	b = binary.BigEndian.AppendUint32(b, uint32(len(head)))
	b = binary.BigEndian.AppendUint32(b, crc32.ChecksumIEEE(b))
	b = append(append(b, head...), payload...)
	return binary.BigEndian.AppendUint32(b, crc32.ChecksumIEEE(b))
}
