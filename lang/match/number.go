package match

import (
	"bytes"
	"cmp"
	"encoding/binary"
)

// number is the exact value of a JSON number: 0.DIGITS × 10^exp, with no zero
// at either end of the digits. So 300, 300.0 and 3.0e2 are one number, and
// integers that a float64 could not tell apart are two.
type number struct {
	negative bool
	exp      int64
	digits   []byte // none for zero
}

// maxExponent is where exponents stop being told apart.
const maxExponent = 1 << 60

// exactly is the number that a valid JSON number spells.
func exactly(text string) number {
	n, _ := appendNumber(make([]byte, 0, len(text)), []byte(text))
	return n
}

// appendNumber reads a valid JSON number; its digits are appended to buf.
func appendNumber(buf, text []byte) (number, []byte) {
	n := number{}
	if text[0] == '-' {
		n.negative, text = true, text[1:]
	}
	start, point := len(buf), -1 // how many digits stand before the decimal point
	for i, c := range text {
		if c|0x20 == 'e' {
			n.exp = exponent(text[i+1:])
			break
		}
		if c == '.' {
			point = len(buf) - start
		} else {
			buf = append(buf, c)
		}
	}
	n.digits = buf[start:]
	if point < 0 {
		point = len(n.digits)
	}
	n.exp += int64(point)
	for len(n.digits) > 0 && n.digits[0] == '0' {
		n.digits, n.exp = n.digits[1:], n.exp-1
	}
	for len(n.digits) > 0 && n.digits[len(n.digits)-1] == '0' {
		n.digits = n.digits[:len(n.digits)-1]
	}
	if len(n.digits) == 0 {
		return number{}, buf
	}
	return n, buf
}

func exponent(text []byte) int64 {
	sign := int64(1)
	switch text[0] {
	case '-':
		sign, text = -1, text[1:]
	case '+':
		text = text[1:]
	}
	e := int64(0)
	for _, c := range text {
		e = min(e*10+int64(c-'0'), maxExponent/16)
	}
	return sign * e
}

// sign is -1, 0 or 1.
func (n number) sign() int {
	switch {
	case len(n.digits) == 0:
		return 0
	case n.negative:
		return -1
	}
	return 1
}

// compare is -1, 0 or 1 as n is below, equal to or above m.
func (n number) compare(m number) int {
	if c := cmp.Compare(n.sign(), m.sign()); c != 0 || n.sign() == 0 {
		return c
	}
	c := cmp.Compare(n.exp, m.exp)
	if c == 0 {
		c = bytes.Compare(n.digits, m.digits)
	}
	return c * n.sign()
}

// appendKey appends bytes that are the same for equal numbers only.
func (n number) appendKey(b []byte) []byte {
	b = append(b, byte(n.sign()))
	b = binary.BigEndian.AppendUint64(b, uint64(n.exp))
	return append(b, n.digits...)
}
