package deps

import (
	"encoding/binary"
	"math/bits"
)

// sqlite reads one table of a database file: what https://sqlite.org/fileformat2.html
// says of pages, cells and records, and no more.
type sqlite struct {
	data         []byte
	page, usable int
	budget       int // pages that may still be read: circles end here
}

// sqliteBlobs calls each for the blob in every row of a table.
func sqliteBlobs(data []byte, table string, each func([]byte) error) error {
	if len(data) < 512 {
		return errRPM
	}
	s := &sqlite{data: data, page: int(binary.BigEndian.Uint16(data[16:]))}
	if s.page == 1 {
		s.page = 64 << 10
	}
	if s.page < 512 || bits.OnesCount(uint(s.page)) != 1 {
		return errRPM
	}
	s.usable = s.page - int(data[20])
	if s.usable < 480 {
		return errRPM
	}
	s.budget = 2*len(data)/s.page + 10
	root := 0
	err := s.walk(1, 0, func(row []column) error { // type, name, tbl_name, rootpage, sql
		if len(row) >= 4 && string(row[0].data) == "table" && string(row[1].data) == table {
			root = row[3].number()
		}
		return nil
	})
	if err != nil {
		return err
	}
	if root <= 0 {
		return errRPM
	}
	return s.walk(root, 0, func(row []column) error {
		for _, c := range row {
			if c.kind >= 12 && c.kind%2 == 0 {
				return each(c.data)
			}
		}
		return nil
	})
}

type column struct {
	kind uint64
	data []byte
}

func (c column) number() int {
	n := 0
	if c.kind == 9 {
		return 1
	}
	if len(c.data) > 6 {
		return 0
	}
	for _, b := range c.data {
		n = n<<8 | int(b)
	}
	return n
}

func (s *sqlite) at(n int) []byte {
	if s.budget--; s.budget < 0 || n < 1 || n > len(s.data)/s.page {
		return nil
	}
	return s.data[(n-1)*s.page:][:s.page]
}

// walk visits the rows below a page of a table's tree.
func (s *sqlite) walk(n, depth int, row func([]column) error) error {
	const deepest = 30
	p := s.at(n)
	if p == nil || depth > deepest {
		return errRPM
	}
	h := p
	if n == 1 {
		h = p[100:]
	}
	cells := int(binary.BigEndian.Uint16(h[3:]))
	size := 8
	if h[0] == 5 {
		size = 12
	}
	if h[0] != 5 && h[0] != 13 || size+2*cells > len(h) {
		return errRPM
	}
	for i := range cells {
		at := int(binary.BigEndian.Uint16(h[size+2*i:]))
		if at+4 > len(p) {
			return errRPM
		}
		if h[0] == 5 {
			if err := s.walk(int(binary.BigEndian.Uint32(p[at:])), depth+1, row); err != nil {
				return err
			}
			continue
		}
		payload, err := s.payload(p, at)
		if err != nil {
			return err
		}
		columns, err := record(payload)
		if err != nil {
			return err
		}
		if err := row(columns); err != nil {
			return err
		}
	}
	if h[0] == 5 {
		return s.walk(int(binary.BigEndian.Uint32(h[8:])), depth+1, row)
	}
	return nil
}

// payload is a cell's, with what lies on overflow pages.
func (s *sqlite) payload(p []byte, at int) ([]byte, error) {
	length, n := varint(p[at:])
	_, m := varint(p[min(at+n, len(p)):])
	at += n + m
	if n == 0 || m == 0 || length > uint64(len(s.data)) {
		return nil, errRPM
	}
	total, local := int(length), int(length)
	if most := s.usable - 35; total > most {
		least := (s.usable-12)*32/255 - 23
		if local = least + (total-least)%(s.usable-4); local > most {
			local = least
		}
	}
	if at+local > len(p) || local < 0 {
		return nil, errRPM
	}
	if local == total {
		return p[at:][:total], nil
	}
	if at+local+4 > len(p) {
		return nil, errRPM
	}
	payload := append([]byte(nil), p[at:][:local]...)
	next := int(binary.BigEndian.Uint32(p[at+local:]))
	for len(payload) < total {
		o := s.at(next)
		if o == nil {
			return nil, errRPM
		}
		payload = append(payload, o[4:][:min(s.usable-4, total-len(payload))]...)
		next = int(binary.BigEndian.Uint32(o))
	}
	return payload, nil
}

// record parts a payload into columns.
func record(b []byte) ([]column, error) {
	size, n := varint(b)
	if n == 0 || size > uint64(len(b)) || int(size) < n {
		return nil, errRPM
	}
	head, body := b[n:size], b[size:]
	var all []column
	for len(head) > 0 {
		kind, n := varint(head)
		if n == 0 {
			return nil, errRPM
		}
		head = head[n:]
		length := uint64(0)
		switch {
		case kind >= 12:
			length = (kind - 12) / 2
		case kind >= 1 && kind <= 4:
			length = kind
		case kind == 5:
			length = 6
		case kind == 6, kind == 7:
			length = 8
		}
		if length > uint64(len(body)) {
			return nil, errRPM
		}
		all = append(all, column{kind, body[:length]})
		body = body[length:]
	}
	return all, nil
}

// varint is SQLite's: up to nine bytes, the most significant first.
func varint(b []byte) (n uint64, size int) {
	for i := range min(len(b), 9) {
		if i == 8 {
			return n<<8 | uint64(b[i]), 9
		}
		n = n<<7 | uint64(b[i]&0x7f)
		if b[i] < 0x80 {
			return n, i + 1
		}
	}
	return 0, 0
}
