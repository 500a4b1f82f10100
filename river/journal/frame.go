package journal

import (
	"bytes"
	"compress/flate"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/haechi-dev/haechi/word/fault"
	"github.com/haechi-dev/haechi/word/record"
)

// A frame holds one request: a header of fixed size, then the records, plain
// or deflated. All numbers are little-endian.
//
//	 0  magic            4
//	 4  flags            4   1: the payload is deflated
//	 8  position         8   of this frame in the journal
//	16  stored           4   length of the payload as it lies there
//	20  raw              4   length of the payload when inflated
//	24  count            4   records
//	28  received         8   Unix milliseconds
//	36  request         16   hash of the request id
//	52  payload's CRC    4
//	56  header's CRC     4   over the segment's salt and all above
//
// The salt and the position are in the check so that nobody can send a log
// line that looks like a frame to a reader that looks for the next whole one.
const (
	headerSize = 60
	deflated   = 1

	// MaxRequest is how large the records of one request may be together, as they are kept.
	MaxRequest = 64 << 20
)

var (
	magic      = []byte("\xf5HJ1")
	castagnoli = crc32.MakeTable(crc32.Castagnoli)
)

type requestHash [16]byte

// nobody stands where a request has no id.
var nobody requestHash

type header struct {
	flags              uint32
	at                 Position
	stored, raw, count uint32
	received           int64
	request            requestHash
	payloadCRC         uint32
}

func (h header) size() int64 { return headerSize + int64(h.stored) }

func (h header) put(b []byte, salt uint64) {
	copy(b, magic)
	le := binary.LittleEndian
	le.PutUint32(b[4:], h.flags)
	le.PutUint64(b[8:], uint64(h.at))
	le.PutUint32(b[16:], h.stored)
	le.PutUint32(b[20:], h.raw)
	le.PutUint32(b[24:], h.count)
	le.PutUint64(b[28:], uint64(h.received))
	copy(b[36:], h.request[:])
	le.PutUint32(b[52:], h.payloadCRC)
	le.PutUint32(b[56:], headerCRC(b, salt))
}

func headerCRC(b []byte, salt uint64) uint32 {
	var s [8]byte
	binary.LittleEndian.PutUint64(s[:], salt)
	return crc32.Update(crc32.Checksum(s[:], castagnoli), castagnoli, b[:56])
}

// readHeader is the header at the start of b, if that is the whole and true header of the frame at position at.
func readHeader(b []byte, salt uint64, at Position) (h header, ok bool) {
	le := binary.LittleEndian
	if len(b) < headerSize || !bytes.Equal(b[:4], magic) || le.Uint32(b[56:]) != headerCRC(b, salt) {
		return h, false
	}
	h = header{
		flags: le.Uint32(b[4:]), at: Position(le.Uint64(b[8:])), stored: le.Uint32(b[16:]), raw: le.Uint32(b[20:]),
		count: le.Uint32(b[24:]), received: int64(le.Uint64(b[28:])), request: requestHash(b[36:52]), payloadCRC: le.Uint32(b[52:]),
	}
	return h, h.at == at && h.raw <= MaxRequest && h.stored <= h.raw && (h.flags == deflated || h.flags == 0 && h.stored == h.raw)
}

// encode makes the frame of a request; its header is put when its position is known.
func encode(records []record.Record) (h header, frame []byte, err error) {
	size := headerSize
	for i := range records {
		size += sizeOf(&records[i])
	}
	if size > MaxRequest {
		return h, nil, fault.Limit.Errorf("%d bytes of records in one request, of %d at most", size, MaxRequest)
	}
	plain := make([]byte, headerSize, size)
	for i := range records {
		plain = appendRecord(plain, &records[i])
	}
	h = header{raw: uint32(len(plain) - headerSize), count: uint32(len(records))}
	frame = plain
	if small, ok := deflate(plain[headerSize:]); ok {
		frame, h.flags = small, deflated
	}
	h.stored = uint32(len(frame) - headerSize)
	h.payloadCRC = crc32.Checksum(frame[headerSize:], castagnoli)
	return h, frame, nil
}

const worthDeflating = 256 // bytes; what is smaller hardly shrinks

var deflaters = sync.Pool{New: func() any {
	w, err := flate.NewWriter(nil, flate.BestSpeed)
	if err != nil {
		panic("journal: " + err.Error()) // the level is a constant
	}
	return w
}}

// deflate is text behind room for a header, compressed; ok is false if that is hardly smaller.
func deflate(text []byte) (frame []byte, ok bool) {
	if len(text) < worthDeflating {
		return nil, false
	}
	out := bytes.NewBuffer(make([]byte, headerSize, headerSize+len(text)/2))
	w := deflaters.Get().(*flate.Writer)
	defer deflaters.Put(w)
	w.Reset(out)
	if _, err := w.Write(text); err != nil {
		return nil, false
	}
	if err := w.Close(); err != nil || out.Len()-headerSize > len(text)*7/8 {
		return nil, false
	}
	return out.Bytes(), true
}

var errDamaged = errors.New("the records do not read as they were written")

// decode appends the records of a payload whose checksum holds.
func decode(records []record.Record, h header, payload []byte) ([]record.Record, error) {
	if h.flags == deflated {
		plain := make([]byte, h.raw)
		r := flate.NewReader(bytes.NewReader(payload))
		if _, err := io.ReadFull(r, plain); err != nil {
			return records, fmt.Errorf("%w: %w", errDamaged, err)
		}
		payload = plain
	}
	text := string(payload) // one copy for all: the records' strings are parts of it
	before := len(records)
	for i := uint32(0); i < h.count; i++ {
		r, rest, ok := cutRecord(text)
		if !ok {
			return records[:before], errDamaged
		}
		records, text = append(records, r), rest
	}
	if text != "" {
		return records[:before], errDamaged
	}
	return records, nil
}

// A record is its time (seconds, nanoseconds), source, text, number of fields and the fields, sorted.
func appendRecord(b []byte, r *record.Record) []byte {
	b = binary.AppendVarint(b, r.Time.Unix())
	b = binary.AppendUvarint(b, uint64(r.Time.Nanosecond()))
	b = appendString(appendString(b, r.Source), r.Text)
	b = binary.AppendUvarint(b, uint64(len(r.Fields)))
	if len(r.Fields) == 0 {
		return b
	}
	for _, k := range slices.Sorted(maps.Keys(r.Fields)) {
		b = appendString(appendString(b, k), r.Fields[k])
	}
	return b
}

// sizeOf is at least as much as appendRecord appends.
func sizeOf(r *record.Record) int {
	n := 5*binary.MaxVarintLen64 + len(r.Source) + len(r.Text)
	for k, v := range r.Fields {
		n += 2*binary.MaxVarintLen32 + len(k) + len(v)
	}
	return n
}

func appendString(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

func cutRecord(s string) (r record.Record, rest string, ok bool) {
	zigzag, s, ok1 := cutUvarint(s)
	nanos, s, ok2 := cutUvarint(s)
	r.Time = time.Unix(int64(zigzag>>1)^-int64(zigzag&1), int64(nanos)).UTC()
	source, s, ok3 := cutString(s)
	text, s, ok4 := cutString(s)
	r.Source, r.Text = source, text
	n, s, ok5 := cutUvarint(s)
	if !(ok1 && ok2 && ok3 && ok4 && ok5) || nanos >= 1e9 || n > uint64(len(s)/2) {
		return r, "", false
	}
	if n == 0 {
		return r, s, true
	}
	r.Fields = make(map[string]string, n)
	for range n {
		var k, v string
		var okK, okV bool
		k, s, okK = cutString(s)
		v, s, okV = cutString(s)
		if !okK || !okV {
			return r, "", false
		}
		r.Fields[k] = v
	}
	return r, s, true
}

func cutString(s string) (text, rest string, ok bool) {
	n, s, ok := cutUvarint(s)
	if !ok || n > uint64(len(s)) {
		return "", "", false
	}
	return s[:n], s[n:], true
}

func cutUvarint(s string) (n uint64, rest string, ok bool) {
	for i := 0; i < len(s) && i < binary.MaxVarintLen64; i++ {
		n |= uint64(s[i]&0x7f) << (7 * i)
		if s[i] < 0x80 {
			return n, s[i+1:], true
		}
	}
	return 0, "", false
}
