package websocket

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"
)

const (
	opMore   = 0x0
	opText   = 0x1
	opBinary = 0x2
	opClose  = 0x8
	opPing   = 0x9
	opPong   = 0xa

	last   = 0x80 // of a first byte: there is no more of this message
	masked = 0x80 // of a second byte
)

// Closed is the end of a connection, as the other side has said it.
type Closed struct {
	Code   int
	Reason string
}

// Error says why the other side has closed.
func (c *Closed) Error() string {
	if c.Reason == "" {
		return fmt.Sprintf("the connection was closed (%d)", c.Code)
	}
	return c.Reason
}

// broken is what the other side may not send.
type broken struct {
	code int
	text string
}

func (b *broken) Error() string { return b.text }

func breach(format string, a ...any) error { return &broken{Protocol, fmt.Sprintf(format, a...)} }

// frame is one frame without its payload.
type frame struct {
	op     byte
	last   bool
	length int
	mask   [4]byte
}

// head reads the head of a frame; masks are what must be there, or must not.
func head(from io.Reader, masks bool) (f frame, err error) {
	var b [8]byte
	if _, err := io.ReadFull(from, b[:2]); err != nil {
		return f, err
	}
	f.op, f.last = b[0]&0xf, b[0]&last != 0
	if b[0]&0x70 != 0 {
		return f, breach("a frame wants an extension that nobody agreed on")
	}
	if masks != (b[1]&masked != 0) {
		return f, breach("clients mask what they send, and servers do not")
	}
	length := uint64(b[1] & 0x7f)
	switch wide := length; wide {
	case 126, 127:
		n := 2
		if wide == 127 {
			n = 8
		}
		clear(b[:])
		if _, err := io.ReadFull(from, b[8-n:]); err != nil {
			return f, cutShort(err)
		}
		if length = binary.BigEndian.Uint64(b[:]); length < 126 || n == 8 && length < 1<<16 {
			return f, breach("the length of a frame is written longer than it is")
		}
	}
	if f.op >= opClose && (!f.last || length > 125) {
		return f, breach("a control frame is whole and short")
	}
	if length > Most {
		return f, &broken{TooLong, fmt.Sprintf("a frame of %d bytes; there may be %d", length, Most)}
	}
	f.length = int(length)
	if masks {
		if _, err := io.ReadFull(from, f.mask[:]); err != nil {
			return f, cutShort(err)
		}
	}
	return f, nil
}

// cutShort is an end amid a frame, which is none.
func cutShort(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// Read is the next message. It answers pings itself. A close of the other
// side's is the error *Closed; io.EOF and io.ErrUnexpectedEOF are a connection
// that broke.
func (c *Conn) Read() (Kind, []byte, error) {
	c.wait(true)
	defer c.wait(false)
	kind, text, err := c.message()
	var wrong *broken
	if errors.As(err, &wrong) {
		_ = c.Close(wrong.code, wrong.text)
	}
	if err != nil {
		err = c.why(err)
	}
	return kind, text, err
}

func (c *Conn) message() (kind Kind, text []byte, err error) {
	for begun := false; ; {
		f, err := head(c.from, !c.client)
		if err != nil {
			return 0, nil, err
		}
		payload := make([]byte, f.length)
		if _, err := io.ReadFull(c.from, payload); err != nil {
			return 0, nil, cutShort(err)
		}
		if !c.client {
			mask(payload, f.mask)
		}
		c.wait(true) // that was a sign of life
		switch f.op {
		case opPing:
			if err := c.write(opPong, payload); err != nil {
				return 0, nil, err
			}
			continue
		case opPong:
			continue
		case opClose:
			return 0, nil, c.bye(payload)
		case opText, opBinary:
			if begun {
				return 0, nil, breach("a message begins within another")
			}
			kind, begun = Kind(f.op), true
		case opMore:
			if !begun {
				return 0, nil, breach("a message goes on that has not begun")
			}
		default:
			return 0, nil, breach("there are no frames of kind %d", f.op)
		}
		if len(text)+len(payload) > Most {
			return 0, nil, &broken{TooLong, fmt.Sprintf("a message of more than %d bytes", Most)}
		}
		text = append(text, payload...)
		if !f.last {
			continue
		}
		if kind == Text && !utf8.Valid(text) {
			return 0, nil, &broken{1007, "a text that is no UTF-8"}
		}
		return kind, text, nil
	}
}

// bye answers a close.
func (c *Conn) bye(payload []byte) error {
	end := &Closed{Code: 1005}
	if len(payload) == 1 {
		return breach("the code of a close has two bytes")
	}
	if len(payload) >= 2 {
		end.Code, end.Reason = int(binary.BigEndian.Uint16(payload)), string(payload[2:])
		if !utf8.ValidString(end.Reason) {
			return &broken{1007, "a reason that is no UTF-8"}
		}
	}
	_ = c.Close(Normal, "")
	return end
}

// mask masks a payload, or takes the mask off.
func mask(payload []byte, key [4]byte) {
	for i := range payload {
		payload[i] ^= key[i&3]
	}
}

// Write sends a message.
func (c *Conn) Write(kind Kind, text []byte) error { return c.write(byte(kind), text) }

func (c *Conn) write(op byte, payload []byte) error {
	if len(payload) > Most {
		return &broken{TooLong, fmt.Sprintf("a message of %d bytes; there may be %d", len(payload), Most)}
	}
	b := make([]byte, 0, 14+len(payload))
	b = append(b, last|op)
	bit := byte(0)
	if c.client {
		bit = masked
	}
	switch n := len(payload); {
	case n < 126:
		b = append(b, bit|byte(n))
	case n < 1<<16:
		b = binary.BigEndian.AppendUint16(append(b, bit|126), uint16(n))
	default:
		b = binary.BigEndian.AppendUint64(append(b, bit|127), uint64(n))
	}
	if c.client {
		var key [4]byte
		if _, err := rand.Read(key[:]); err != nil {
			return err
		}
		b = append(b, key[:]...)
		at := len(b)
		b = append(b, payload...)
		mask(b[at:], key)
	} else {
		b = append(b, payload...)
	}
	c.writing.Lock()
	defer c.writing.Unlock()
	if c.closed {
		return io.ErrClosedPipe
	}
	c.closed = op == opClose
	_, err := c.to.Write(b)
	return c.why(err)
}

// Close says goodbye, with a reason of at most 123 bytes. It does not wait for
// an answer: who reads gets it, and cuts the connection then.
func (c *Conn) Close(code int, reason string) error {
	for len(reason) > 123 {
		_, size := utf8.DecodeLastRuneInString(reason)
		reason = reason[:len(reason)-size]
	}
	return c.write(opClose, append(binary.BigEndian.AppendUint16(nil, uint16(code)), reason...))
}
