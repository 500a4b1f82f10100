package journal

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// A segment is a file of frames. Its name holds the position of its first byte
// and a random salt: there is no header that could be damaged.
type segment struct {
	base Position
	salt uint64
	path string
	size int64     // of what is whole and synced
	last time.Time // when it was written last
}

const suffix = ".journal"

func (s *segment) end() Position { return s.base + Position(s.size) }

func segmentName(base Position, salt uint64) string {
	return fmt.Sprintf("%020d-%016x%s", base, salt, suffix)
}

func parseName(name string) (base Position, salt uint64, ok bool) {
	stem, ok := strings.CutSuffix(name, suffix)
	if !ok || len(stem) != 20+1+16 || stem[20] != '-' {
		return 0, 0, false
	}
	b, err1 := strconv.ParseInt(stem[:20], 10, 64)
	salt, err2 := strconv.ParseUint(stem[21:], 16, 64)
	return Position(b), salt, err1 == nil && err2 == nil && b >= 0
}

// list is the segments of a folder, oldest first. What is beyond the start of the next one was never acknowledged.
func list(dir string) ([]*segment, error) {
	entries, err := os.ReadDir(dir) // sorted by name, that is by position
	if err != nil {
		return nil, err
	}
	var all []*segment
	for _, e := range entries {
		base, salt, ok := parseName(e.Name())
		if !ok || !e.Type().IsRegular() {
			continue
		}
		info, err := e.Info()
		if err != nil {
			return nil, err
		}
		s := &segment{base: base, salt: salt, path: filepath.Join(dir, e.Name()), size: info.Size(), last: info.ModTime()}
		switch n := len(all); {
		case n == 0:
		case all[n-1].base == base && s.size == 0:
			continue // begun and given up
		case all[n-1].end() > base:
			all[n-1].size = int64(base - all[n-1].base)
		}
		all = append(all, s)
	}
	return all, nil
}

// A reader reads one segment's frames.
type reader struct {
	from io.ReaderAt
	salt uint64
	base Position
	end  int64 // how far there is something to read
}

// next is the first whole frame at or behind offset off, where it lies, and what
// is wrong with the bytes in between, if there are any. At the end start is r.end.
func (r reader) next(off int64) (h header, payload []byte, start int64, damage string, err error) {
	for start = off; start < r.end; {
		h, ok, err := r.header(start)
		if err != nil {
			return h, nil, start, damage, err
		}
		if !ok {
			damage = "no whole frame begins here"
			if start, err = r.find(start + 1); err != nil {
				return h, nil, start, damage, err
			}
			continue
		}
		payload, ok, err = r.payload(start, h)
		if ok || err != nil {
			return h, payload, start, damage, err
		}
		damage = "the frame's checksum does not hold"
		start += h.size()
	}
	return h, nil, r.end, damage, nil
}

func (r reader) header(off int64) (h header, ok bool, err error) {
	var b [headerSize]byte
	if r.end-off < headerSize {
		return h, false, nil
	}
	if _, err := r.from.ReadAt(b[:], off); err != nil {
		return h, false, notTheEnd(err)
	}
	h, ok = readHeader(b[:], r.salt, r.base+Position(off))
	return h, ok && off+h.size() <= r.end, nil
}

func (r reader) payload(off int64, h header) ([]byte, bool, error) {
	payload := make([]byte, h.stored)
	if _, err := r.from.ReadAt(payload, off+headerSize); err != nil {
		return nil, false, notTheEnd(err)
	}
	return payload, crc32.Checksum(payload, castagnoli) == h.payloadCRC, nil
}

// find is where the next true header begins, at or behind off, or the end.
func (r reader) find(off int64) (int64, error) {
	buf := make([]byte, 256<<10)
	for off < r.end {
		chunk := buf[:min(int64(len(buf)), r.end-off)]
		n, err := r.from.ReadAt(chunk, off)
		if err := notTheEnd(err); err != nil {
			return off, err
		}
		chunk = chunk[:n]
		for i := 0; ; i++ {
			j := bytes.Index(chunk[i:], magic)
			if j < 0 {
				break
			}
			i += j
			if len(chunk)-i < headerSize {
				break // seen again with the next chunk
			}
			if h, ok := readHeader(chunk[i:], r.salt, r.base+Position(off)+Position(i)); ok && off+int64(i)+h.size() <= r.end {
				return off + int64(i), nil
			}
		}
		if n <= headerSize {
			break
		}
		off += int64(n - headerSize)
	}
	return r.end, nil
}

func notTheEnd(err error) error {
	if errors.Is(err, io.EOF) {
		return nil // shorter than its name and its successor say: damage, found by the checks
	}
	return err
}

// stamped is a request, and when it came in.
type stamped struct {
	request  requestHash
	received int64
}

// scan reads a segment's frames up to size: which requests it holds, where the last
// whole frame ends, and which stretches before that are damaged.
func scan(from io.ReaderAt, s *segment, size int64) (requests []stamped, end int64, gaps []Gap, err error) {
	r := reader{from: from, salt: s.salt, base: s.base, end: size}
	for off := int64(0); off < size; {
		h, _, start, damage, err := r.next(off)
		if err != nil {
			return nil, 0, nil, err
		}
		if start == size {
			break // what is left is a torn tail
		}
		if damage != "" {
			gaps = append(gaps, Gap{From: s.base + Position(off), To: s.base + Position(start), Why: damage})
		}
		requests = append(requests, stamped{h.request, h.received})
		off = start + h.size()
		end = off
	}
	return requests, end, gaps, nil
}

// Beside each full segment lies which requests it holds, so that a start need not read the segment.
func requestsPath(segment string) string { return strings.TrimSuffix(segment, suffix) + ".requests" }

const stampedSize = 24

func encodeRequests(all []stamped) []byte {
	b := make([]byte, 0, len(all)*stampedSize+4)
	for _, s := range all {
		b = append(b, s.request[:]...)
		b = binary.LittleEndian.AppendUint64(b, uint64(s.received))
	}
	return binary.LittleEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
}

func decodeRequests(b []byte) (all []stamped, ok bool) {
	n := len(b) - 4
	if n < 0 || n%stampedSize != 0 || binary.LittleEndian.Uint32(b[n:]) != crc32.Checksum(b[:n], castagnoli) {
		return nil, false
	}
	for ; n > 0; n, b = n-stampedSize, b[stampedSize:] {
		all = append(all, stamped{requestHash(b[:16]), int64(binary.LittleEndian.Uint64(b[16:]))})
	}
	return all, true
}
