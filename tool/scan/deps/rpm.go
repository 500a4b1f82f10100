package deps

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"path"
	"strings"

	"github.com/haechi-dev/haechi/word/component"
	"github.com/haechi-dev/haechi/word/diag"
)

// isRPM tells the databases of rpm, in the three forms that it has had.
func isRPM(name string) bool {
	dir := path.Base(path.Dir(name))
	switch path.Base(name) {
	case "rpmdb.sqlite", "Packages.db", "Packages":
		return dir == "rpm" || dir == "sysimage" || strings.HasSuffix(path.Dir(name), "lib/rpm")
	}
	return false
}

// rpm lists the packages that rpm's database says are installed. The three
// readers take only what is needed of each format: every package's header.
func rpm(ctx context.Context, f manifest, out func(component.Component)) error {
	below := path.Base(f.path)
	if i := strings.LastIndex("/"+f.path, "/usr/lib/sysimage/rpm/"); i >= 0 {
		below = f.path[i:]
	} else if i := strings.LastIndex("/"+f.path, "/var/lib/rpm/"); i >= 0 {
		below = f.path[i:]
	}
	r := releaseOf(f.tree, f.path, below)
	g := newGraph()
	each := func(header []byte) error {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		h, err := readRPMHeader(header)
		if err != nil {
			return err
		}
		if h.name == "" || h.name == "gpg-pubkey" {
			return nil
		}
		n := g.add(h.name, h.component(f.path, r), h.requires...)
		for _, provided := range h.provides {
			g.also(provided, n)
		}
		return nil
	}
	var err error
	switch {
	case bytes.HasPrefix(f.content, []byte("SQLite format 3\x00")):
		err = sqliteBlobs(f.content, "Packages", each)
	case bytes.HasPrefix(f.content, []byte("RpmP")):
		err = ndbBlobs(f.content, each)
	default:
		err = bdbValues(f.content, each)
	}
	if err != nil {
		return diag.Errorf(diag.Place{File: f.path}, "rpm's database cannot be read: %v", err)
	}
	return g.emit(ctx, nil, nil, out)
}

type rpmHeader struct {
	name, version, release, arch, licence, vendor, source string
	epoch                                                 uint32
	requires, provides                                    []string
}

func (h rpmHeader) component(file string, r release) component.Component {
	version := h.version + "-" + h.release
	if h.epoch > 0 {
		version = itoa(h.epoch) + ":" + version
	}
	c := component.Component{PURL: component.PURL("rpm", r.namespace("redhat"), h.name), Qualifiers: r.qualifiers(h.arch), Ecosystem: r.ecosystem("Red Hat"), Name: h.name, Version: version,
		State: component.Resolved, Scope: component.Runtime, Place: diag.Place{File: file, Line: 1}, Supplier: h.vendor}
	if h.licence != "" {
		c.Licences = []string{h.licence}
	}
	return c
}

func itoa(n uint32) string {
	if n < 10 {
		return string(rune('0' + n))
	}
	return itoa(n/10) + string(rune('0'+n%10))
}

var errRPM = errors.New("it is damaged")

// readRPMHeader reads a header: an index of tags, and the store that they point into.
func readRPMHeader(b []byte) (h rpmHeader, err error) {
	const mostTags, mostNames = 1 << 16, 1 << 14
	if len(b) < 8 {
		return h, errRPM
	}
	tags, size := int(binary.BigEndian.Uint32(b)), int(binary.BigEndian.Uint32(b[4:]))
	if tags > mostTags || size < 0 || 8+16*tags > len(b) || size > len(b)-8-16*tags {
		return h, errRPM
	}
	store := b[8+16*tags:][:size]
	text := func(offset int) string {
		if offset < 0 || offset >= len(store) {
			return ""
		}
		s, _, _ := bytes.Cut(store[offset:], []byte{0})
		return strings.ToValidUTF8(string(s), "\uFFFD")
	}
	list := func(offset, count int) (all []string) {
		for range min(count, mostNames) {
			if offset < 0 || offset >= len(store) {
				break
			}
			s, _, _ := bytes.Cut(store[offset:], []byte{0})
			all = append(all, strings.ToValidUTF8(string(s), "\uFFFD"))
			offset += len(s) + 1
		}
		return all
	}
	for i := range tags {
		entry := b[8+16*i:]
		offset, count := int(int32(binary.BigEndian.Uint32(entry[8:]))), int(binary.BigEndian.Uint32(entry[12:]))
		switch binary.BigEndian.Uint32(entry) {
		case 1000:
			h.name = text(offset)
		case 1001:
			h.version = text(offset)
		case 1002:
			h.release = text(offset)
		case 1003:
			if offset >= 0 && offset+4 <= len(store) {
				h.epoch = binary.BigEndian.Uint32(store[offset:])
			}
		case 1011:
			h.vendor = text(offset)
		case 1014:
			h.licence = text(offset)
		case 1022:
			h.arch = text(offset)
		case 1044:
			h.source = text(offset)
		case 1047:
			h.provides = list(offset, count)
		case 1049:
			h.requires = list(offset, count)
		}
	}
	return h, nil
}

// ndbBlobs calls each for every package of rpm's own database: slots that say where a package lies.
func ndbBlobs(b []byte, each func([]byte) error) error {
	const page, slotSize, block = 4096, 16, 16
	if len(b) < page {
		return errRPM
	}
	end := int(binary.LittleEndian.Uint32(b[12:])) * page
	if end <= 0 || end > len(b) {
		return errRPM
	}
	for at := 2 * slotSize; at+slotSize <= end; at += slotSize {
		if string(b[at:at+4]) != "Slot" {
			return errRPM
		}
		index, offset := binary.LittleEndian.Uint32(b[at+4:]), int(binary.LittleEndian.Uint32(b[at+8:]))*block
		if index == 0 || offset == 0 {
			continue
		}
		if offset+16 > len(b) || string(b[offset:offset+4]) != "BlbS" {
			return errRPM
		}
		size := int(binary.LittleEndian.Uint32(b[offset+12:]))
		if size > len(b)-offset-16 {
			return errRPM
		}
		if err := each(b[offset+16:][:size]); err != nil {
			return err
		}
	}
	return nil
}

// bdbValues calls each for every value of a hash of Berkeley DB that is long enough to be a header.
func bdbValues(b []byte, each func([]byte) error) error {
	const hashMagic, header = 0x061561, 26
	if len(b) < 512 {
		return errRPM
	}
	var order binary.ByteOrder = binary.LittleEndian
	if binary.BigEndian.Uint32(b[12:]) == hashMagic {
		order = binary.BigEndian
	} else if order.Uint32(b[12:]) != hashMagic {
		return errors.New("it is none of the three forms that rpm has had")
	}
	size := int(order.Uint32(b[20:]))
	if size < 512 || size > 64<<10 || size&(size-1) != 0 {
		return errRPM
	}
	pages := len(b) / size
	page := func(n int) []byte {
		if n <= 0 || n >= pages {
			return nil
		}
		return b[n*size:][:size]
	}
	budget := 2 * len(b) // what overflow pages may add up to: circles end here
	for n := 1; n < pages; n++ {
		p := page(n)
		if kind := p[25]; kind != 2 && kind != 13 { // only pages of the hash hold pairs
			continue
		}
		entries := int(order.Uint16(p[20:]))
		for i := 1; i < entries && header+2*i+2 <= size; i += 2 { // keys and values by turns
			at := int(order.Uint16(p[header+2*i:]))
			if at < header || at+12 > size || p[at] != 3 { // the count of packages lies in the page itself
				continue
			}
			next, length := int(order.Uint32(p[at+4:])), int(order.Uint32(p[at+8:]))
			if length < 0 || length > budget {
				return errRPM
			}
			var value []byte
			for len(value) < length {
				o := page(next)
				if o == nil || o[25] != 7 {
					return errRPM
				}
				part := o[header:min(size, header+int(order.Uint16(o[22:])))]
				if len(part) == 0 {
					return errRPM
				}
				value = append(value, part...)
				next = int(order.Uint32(o[16:]))
			}
			budget -= length
			if err := each(value[:length]); err != nil {
				return err
			}
		}
	}
	return nil
}
