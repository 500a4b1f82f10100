package inflate

import "encoding/binary"

// block unpacks a block whose codes are known.
func (d *Decoder) block(t *tables) error {
	for {
		if over, err := d.quick(t); over || err != nil {
			return err
		}
		if over, err := d.one(t); over || err != nil {
			return err
		}
	}
}

const (
	longest = 258 // bytes of a copy
	margin  = longest + 2 + 8
)

// quick unpacks as long as neither the input nor the output is near its end, so that nobody need ask.
func (d *Decoder) quick(t *tables) (over bool, err error) {
	in, out, at, to, bits, n := d.in, d.out, d.at, d.to, d.bits, d.n
	for at+16 <= len(in) && to+margin <= len(out) {
		bits |= binary.LittleEndian.Uint64(in[at:]) << (n & 63)
		at += int((63 - n) >> 3)
		n |= 56
		e := t.literal.look(literalBits, bits)
		for k := 0; k < 2 && e&literal != 0; k++ { // two fit, and then a length
			out[to] = byte(e >> valueShift)
			to++
			bits >>= e & totalBits
			n -= uint(e & totalBits)
			e = t.literal.look(literalBits, bits)
		}
		was := bits
		bits >>= e & totalBits
		n -= uint(e & totalBits)
		if e&literal != 0 {
			out[to] = byte(e >> valueShift)
			to++
			continue
		}
		if e&special != 0 {
			if over = e&end != 0; !over {
				err = ErrBroken
			}
			break
		}
		length := value(e, was)
		bits |= binary.LittleEndian.Uint64(in[at:]) << (n & 63)
		at += int((63 - n) >> 3)
		n |= 56
		e = t.distance.look(distanceBits, bits)
		back := value(e, bits)
		bits >>= e & totalBits
		n -= uint(e & totalBits)
		if e&special != 0 || back > to {
			err = ErrBroken
			break
		}
		if back >= 8 {
			for k := 0; k < length; k += 8 {
				binary.LittleEndian.PutUint64(out[to+k:], binary.LittleEndian.Uint64(out[to+k-back:]))
			}
			to += length
		} else {
			to = again(out, to, back, length)
		}
	}
	d.at, d.to, d.bits, d.n = at, to, bits, n
	return over, err
}

// value is that of an entry, with what the bits behind its code add.
func value(e uint32, bits uint64) int {
	return int(e>>valueShift&valueMask) + int(bits&(1<<(e&totalBits)-1)>>(e>>codeShift&codeMask))
}

// again copies length bytes from back bytes before, which may be what is being copied.
func again(out []byte, to, back, length int) int {
	for range length {
		out[to] = out[to-back]
		to++
	}
	return to
}

// one unpacks a literal or a copy, wherever it stands.
func (d *Decoder) one(t *tables) (over bool, err error) {
	e, n, err := d.code(&t.literal, literalBits)
	switch {
	case err != nil:
		return false, err
	case e&end != 0:
		return true, nil
	case e&literal != 0:
		if d.to == len(d.out) {
			return false, ErrBroken
		}
		d.out[d.to] = byte(n)
		d.to++
		return false, nil
	}
	_, back, err := d.code(&t.distance, distanceBits)
	if err != nil {
		return false, err
	}
	if back > d.to || n > len(d.out)-d.to {
		return false, ErrBroken
	}
	d.to = again(d.out, d.to, back, n)
	return false, nil
}

// code reads a code, and gives its entry and value.
func (d *Decoder) code(t *table, primary uint) (e uint32, v int, err error) {
	d.fill(15 + 13)
	e = t.look(primary, d.bits)
	total := uint(e & totalBits)
	if total > d.n || e&special != 0 && d.n < 15 && e&end == 0 {
		return 0, 0, ErrShort
	}
	if e&special != 0 && e&end == 0 {
		return 0, 0, ErrBroken
	}
	v = value(e, d.bits)
	d.bits >>= total
	d.n -= total
	return e, v, nil
}
