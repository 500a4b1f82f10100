package git

import (
	"bufio"
	"crypto/sha1"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strconv"

	"github.com/klauspost/compress/flate"

	"github.com/haechi-dev/haechi/word/fault"
)

// Bounds of what reading a pack holds in memory.
const (
	mostShown = 16 << 20  // bytes of an object that is shown
	mostBases = 32 << 20  // of objects that later ones may be told as changes of
	mostAside = 256 << 10 // of the pack, that are read at once
	mostRead  = 8 << 30   // and altogether: whoever packs well need not be read ahead of
)

// Packed is an object of a pack that is being read. Its content may be kept, and not be changed.
type Packed struct {
	ID, Type string // blob, commit, tag or tree
	Path     string // of a blob: where the pack's oldest commit that has it most likely has it, or ""
	Content  []byte
}

// ReadPack reads a pack as it comes and shows its objects. What cannot be told from the pack alone within
// bounded memory is passed over: very large objects, changes of what lies elsewhere or far before, and the
// paths of blobs that come before their trees. Nothing that is shown is to be trusted further than its name,
// which is that of its content; whether the pack is sound, git says. It ends at the first error that show returns.
func ReadPack(r io.Reader, show func(Packed) error) error {
	counted := &counter{from: r}
	p := &pack{counted: counted, in: bufio.NewReaderSize(counted, mostAside), bases: bases{at: map[int64]*base{}, named: map[string]*base{}}, places: newPlaces(), show: show}
	p.unpacked = flate.NewReader(p.in)
	var head [12]byte
	if _, err := io.ReadFull(p.in, head[:]); err != nil {
		return fmt.Errorf("reading a pack: %w", err)
	}
	version, objects := binary.BigEndian.Uint32(head[4:]), binary.BigEndian.Uint32(head[8:])
	if string(head[:4]) != "PACK" || version < 2 || version > 3 || objects > most {
		return fault.Invalid.Errorf("it is no pack that can be read: %q", head)
	}
	for range objects {
		if err := p.next(); err != nil {
			return err
		}
	}
	return nil
}

// counter knows how much was read.
type counter struct {
	from io.Reader
	n    int64
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.from.Read(p)
	c.n += int64(n)
	return n, err
}

type pack struct {
	counted  *counter
	in       *bufio.Reader
	unpacked io.ReadCloser
	bases    bases
	places   places
	read     int64 // bytes of objects
	show     func(Packed) error
}

// How an object is packed, beside the kinds.
const (
	nearDelta  = 6 // a change of an object so many bytes before
	namedDelta = 7
)

func kindOf(n byte) string {
	return [...]string{1: "commit", 2: "tree", 3: "blob", 4: "tag", 7: ""}[n]
}

// next reads an object, and shows it if it can be told.
func (p *pack) next() error {
	at := p.counted.n - int64(p.in.Buffered())
	how, size, err := p.head()
	if err != nil {
		return err
	}
	if p.read += size; p.read > mostRead {
		return fault.Limit.Errorf("the pack holds more than %d bytes", int64(mostRead))
	}
	o := &base{kind: kindOf(how)}
	var of *base // what it changes
	switch how {
	case nearDelta:
		of, err = p.near(at)
	case namedDelta:
		var id [sha1.Size]byte
		_, err = io.ReadFull(p.in, id[:])
		of = p.bases.named[hex.EncodeToString(id[:])]
	}
	if err != nil {
		return unended(err)
	}
	delta := how == nearDelta || how == namedDelta
	if o.content, err = p.content(size, delta && of == nil); err != nil || o.content == nil {
		return err
	}
	if delta {
		o.kind = of.kind
		if o.content, err = patched(of.content, o.content); err != nil || o.content == nil {
			return err
		}
	}
	if o.kind == "" {
		return fault.Invalid.Errorf("a pack has no objects of type %d", how)
	}
	if delta {
		p.read += int64(len(o.content))
	}
	o.id = nameOf(o.kind, o.content)
	p.bases.add(at, o)
	return p.tell(o)
}

// tell shows an object, with its path where that is known.
func (p *pack) tell(o *base) error {
	out := Packed{ID: o.id, Type: o.kind, Content: o.content}
	switch o.kind {
	case "commit":
		p.places.commit(o.content)
	case "tree":
		p.places.tree(o.id, o.content)
	case "blob":
		out.Path = p.places.paths[o.id]
	}
	return p.show(out)
}

// nameOf is the name of an object, in a repository of the usual format. Of two contents that
// have one, git takes neither: it looks for what makes them.
func nameOf(kind string, content []byte) string {
	h := sha1.New()
	var head [32]byte
	h.Write(append(strconv.AppendInt(append(append(head[:0], kind...), ' '), int64(len(content)), 10), 0))
	h.Write(content)
	return hex.EncodeToString(h.Sum(head[:0]))
}

// head is how the next object is packed, and how many bytes it unpacks to.
func (p *pack) head() (how byte, size int64, err error) {
	c, err := p.in.ReadByte()
	if err != nil {
		return 0, 0, unended(err)
	}
	how, size = c>>4&7, int64(c&15)
	for shift := 4; c&0x80 != 0; shift += 7 {
		if c, err = p.in.ReadByte(); err != nil {
			return 0, 0, unended(err)
		}
		if shift > 53 {
			return 0, 0, fault.Invalid.Errorf("an object of a pack is larger than anything")
		}
		size |= int64(c&0x7f) << shift
	}
	return how, size, nil
}

// near reads how far before at the object lies that is changed, and is that if it is still there.
func (p *pack) near(at int64) (*base, error) {
	c, err := p.in.ReadByte()
	back := int64(c & 0x7f)
	for err == nil && c&0x80 != 0 {
		if back > 1<<48 {
			return nil, fault.Invalid.Errorf("an object of a pack is a change of nothing")
		}
		c, err = p.in.ReadByte()
		back = (back+1)<<7 | int64(c&0x7f)
	}
	return p.bases.at[at-back], err
}

// content unpacks the next size bytes. It is nil where they are too many, or nobody wants them.
func (p *pack) content(size int64, unwanted bool) (content []byte, err error) {
	const head, sum = 2, 4 // of zlib: that the content is whole, its name tells better than the sum at its end
	zlib, err := p.in.Peek(head)
	if err != nil {
		return nil, unended(err)
	}
	if zlib[0]&15 != 8 || zlib[1]&0x20 != 0 {
		return nil, fault.Invalid.Errorf("an object of a pack is packed in a way that is not known")
	}
	_, _ = p.in.Discard(head) // they are there
	if !unwanted && size <= mostShown {
		content = make([]byte, size)
	}
	if err := p.inflate(content, size); err != nil {
		return nil, unended(err)
	}
	_, err = p.in.Discard(sum)
	return content, unended(err)
}

// inflate unpacks a stream of size bytes into content, or for nobody.
func (p *pack) inflate(content []byte, size int64) error {
	err := p.unpacked.(flate.Resetter).Reset(p.in, nil)
	if err != nil {
		return err
	}
	if content == nil {
		_, err = io.CopyN(io.Discard, p.unpacked, size)
	} else {
		_, err = io.ReadFull(p.unpacked, content)
	}
	if err != nil {
		return err
	}
	var more [1]byte
	if n, err := io.ReadFull(p.unpacked, more[:]); n != 0 || err != io.EOF {
		return fault.Invalid.Errorf("an object of a pack is longer than it says")
	}
	return nil
}

// unended is err, of a pack that ends within an object.
func unended(err error) error {
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return err
}

// bases are the newest objects of a pack, which later ones may be told as changes of.
type bases struct {
	at    map[int64]*base // by where they begin
	named map[string]*base
	order []int64
	bytes int
}

type base struct {
	id, kind string
	content  []byte
}

func (b *bases) add(at int64, o *base) {
	b.at[at], b.named[o.id] = o, o
	b.order = append(b.order, at)
	for b.bytes += len(o.content) + 200; b.bytes > mostBases; b.order = b.order[1:] {
		old := b.at[b.order[0]]
		b.bytes -= len(old.content) + 200
		delete(b.at, b.order[0])
		if b.named[old.id] == old {
			delete(b.named, old.id)
		}
	}
}

// patched is what a delta makes of a content, or nil where that is too large.
func patched(of, delta []byte) ([]byte, error) {
	wrong := fault.Invalid.Errorf("an object of a pack is a change that does not fit what it changes")
	from, n := binary.Uvarint(delta)
	if n <= 0 || from != uint64(len(of)) {
		return nil, wrong
	}
	delta = delta[n:]
	to, n := binary.Uvarint(delta)
	if n <= 0 {
		return nil, wrong
	}
	if to > mostShown {
		return nil, nil
	}
	out := make([]byte, 0, to)
	for delta = delta[n:]; len(delta) > 0; {
		op := delta[0]
		delta = delta[1:]
		if op&0x80 == 0 { // what is new
			if n := int(op); n == 0 || n > len(delta) || n > cap(out)-len(out) {
				return nil, wrong
			}
			out, delta = append(out, delta[:op]...), delta[op:]
			continue
		}
		var number [8]byte // offset and length, of which the zero bytes are left out
		for i := range 7 {
			if op>>i&1 == 0 {
				continue
			}
			if len(delta) == 0 {
				return nil, wrong
			}
			number[i], delta = delta[0], delta[1:]
		}
		offset, length := int(binary.LittleEndian.Uint32(number[:])), int(binary.LittleEndian.Uint32(number[4:]))
		if length == 0 {
			length = 0x10000
		}
		if offset > len(of) || length > len(of)-offset || length > cap(out)-len(out) {
			return nil, wrong
		}
		out = append(out, of[offset:offset+length]...)
	}
	if uint64(len(out)) != to {
		return nil, wrong
	}
	return out, nil
}
