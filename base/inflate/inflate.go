// Package inflate unpacks deflate streams that lie in memory whole, and whose length is known.
//
// That is what the objects of git's packs are. The standard library reads a stream of any length byte by byte and
// keeps a window of what it gave; here the output is the window, and the input is read eight bytes at a time: a third of the time.
package inflate

import (
	"encoding/binary"
	"errors"
)

// What is wrong with a stream.
var (
	ErrShort  = errors.New("the stream ends early")
	ErrBroken = errors.New("it is no deflate stream of that length")
)

// Decoder unpacks streams one after the other. The zero value is ready.
type Decoder struct {
	own   tables
	fixed *tables
	lens  [320]uint8

	in, out []byte
	at, to  int    // in them
	bits    uint64 // that were read and not used
	n       uint   // how many
}

// Into unpacks the stream that packed begins with. Out has the length that it unpacks to. The number
// is that of the bytes that the stream has.
func (d *Decoder) Into(out, packed []byte) (int, error) {
	d.in, d.out, d.at, d.to, d.bits, d.n = packed, out, 0, 0, 0, 0
	defer func() { d.in, d.out = nil, nil }()
	for last := false; !last; {
		head, err := d.take(3)
		if err != nil {
			return 0, err
		}
		last = head&1 != 0
		switch head >> 1 {
		case 0:
			err = d.stored()
		case 1:
			if d.fixed == nil {
				d.fixed = fixedTables()
			}
			err = d.block(d.fixed)
		case 2:
			if err = d.dynamic(); err == nil {
				err = d.block(&d.own)
			}
		default:
			err = ErrBroken
		}
		if err != nil {
			return 0, err
		}
	}
	if d.to != len(out) {
		return 0, ErrBroken
	}
	return d.at - int(d.n>>3), nil
}

// fill reads bytes until there are n bits, if there are so many.
func (d *Decoder) fill(n uint) {
	for d.n < n && d.at < len(d.in) {
		d.bits |= uint64(d.in[d.at]) << d.n
		d.at++
		d.n += 8
	}
}

// take is the next n bits, 16 at most.
func (d *Decoder) take(n uint) (uint, error) {
	if d.fill(n); d.n < n {
		return 0, ErrShort
	}
	v := uint(d.bits) & (1<<n - 1)
	d.bits >>= n
	d.n -= n
	return v, nil
}

// stored is a block that is not packed.
func (d *Decoder) stored() error {
	d.at -= int(d.n >> 3) // the rest of a byte is padding
	d.bits, d.n = 0, 0
	rest := d.in[d.at:]
	if len(rest) < 4 {
		return ErrShort
	}
	n := int(binary.LittleEndian.Uint16(rest))
	switch {
	case n != int(^binary.LittleEndian.Uint16(rest[2:])) || n > len(d.out)-d.to:
		return ErrBroken
	case len(rest)-4 < n:
		return ErrShort
	}
	copy(d.out[d.to:], rest[4:4+n])
	d.at += 4 + n
	d.to += n
	return nil
}

// order is the one in which a block says how long the codes of its codes' lengths are.
var order = [19]uint8{16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15}

// dynamic reads the codes of a block.
func (d *Decoder) dynamic() error {
	head, err := d.take(14)
	if err != nil {
		return err
	}
	symbols, distances, lengths := int(head&31)+257, int(head>>5&31)+1, int(head>>10)+4
	if symbols > 286 || distances > 30 {
		return ErrBroken
	}
	clear(d.lens[:19])
	for i := range lengths {
		n, err := d.take(3)
		if err != nil {
			return err
		}
		d.lens[order[i]] = uint8(n)
	}
	if !d.own.distance.build(distanceBits, d.lens[:19], plain[:]) { // until the distances' own is known
		return ErrBroken
	}
	if err := d.lengths(symbols + distances); err != nil {
		return err
	}
	if d.lens[256] == 0 || !d.own.literal.build(literalBits, d.lens[:symbols], literals[:]) ||
		!d.own.distance.build(distanceBits, d.lens[symbols:symbols+distances], distance[:]) {
		return ErrBroken
	}
	return nil
}

// lengths reads how long the codes of n symbols are.
func (d *Decoder) lengths(n int) error {
	for i := 0; i < n; {
		d.fill(7 + 7)
		e := d.own.distance[d.bits&(1<<distanceBits-1)]
		length := uint(e & totalBits)
		if e&special != 0 {
			return ErrBroken
		}
		if length > d.n {
			return ErrShort
		}
		d.bits >>= length
		d.n -= length
		symbol := uint8(e >> valueShift)
		if symbol < 16 {
			d.lens[i] = symbol
			i++
			continue
		}
		least, extra, what := 3, uint(2), uint8(0)
		switch symbol {
		case 16:
			if i == 0 {
				return ErrBroken
			}
			what = d.lens[i-1]
		case 17:
			extra = 3
		default:
			least, extra = 11, 7
		}
		more, err := d.take(extra)
		if err != nil {
			return err
		}
		times := least + int(more)
		if times > n-i {
			return ErrBroken
		}
		for ; times > 0; times-- {
			d.lens[i] = what
			i++
		}
	}
	return nil
}
