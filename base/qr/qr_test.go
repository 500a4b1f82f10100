package qr

import (
	"bytes"
	"encoding/xml"
	"errors"
	"image/png"
	"strings"
	"testing"

	"github.com/haechi-dev/haechi/word/fault"
	"pgregory.net/rapid"
)

// read reads a code as a reader does that sees every module: format, mask,
// blocks, check bytes, text. It shares nothing with drawing but which modules are fixed.
func read(t *rapid.T, c *Code) string {
	bits := 0
	for i := range 6 {
		bits |= bit(c, 8, i) << i
	}
	bits |= bit(c, 8, 7)<<6 | bit(c, 8, 8)<<7 | bit(c, 7, 8)<<8
	for i := 9; i < 15; i++ {
		bits |= bit(c, 14-i, 8) << i
	}
	bits ^= 0x5412
	rem := bits
	for i := 14; i >= 10; i-- {
		if rem>>i&1 == 1 {
			rem ^= 0x537 << (i - 10)
		}
	}
	if rem != 0 || bits>>13 != 0 {
		t.Fatalf("the format %015b is none of level M", bits)
	}
	mask := bits >> 10 & 7
	var raw []byte
	n := 0
	c.path(func(at int) {
		if n%8 == 0 {
			raw = append(raw, 0)
		}
		dark := c.dark[at] != masks[mask](at%c.size, at/c.size)
		if dark {
			raw[n/8] |= 1 << (7 - n%8)
		}
		n++
	})
	return unpack(t, gather(t, raw[:room(c.number)], c.number), c.number)
}

func bit(c *Code, x, y int) int {
	if c.dark[y*c.size+x] {
		return 1
	}
	return 0
}

// gather takes the blocks apart again; every one must be a multiple of its polynomial.
func gather(t *rapid.T, raw []byte, v int) (data []byte) {
	n, check := blocks[v], checks[v]
	all := make([][]byte, n)
	short, longer := len(raw)/n-check, len(raw)%n
	at := 0
	for i := range short + 1 {
		for j := range all {
			if i < short || j >= n-longer {
				all[j] = append(all[j], raw[at])
				at++
			}
		}
	}
	for _, b := range all {
		data = append(data, b...)
	}
	for range check {
		for j := range all {
			all[j] = append(all[j], raw[at])
			at++
		}
	}
	for _, b := range all {
		root := byte(1)
		for range check {
			sum := byte(0)
			for _, x := range b {
				sum = multiply(sum, root) ^ x
			}
			if sum != 0 {
				t.Fatalf("a block of version %d does not check", v)
			}
			root = multiply(root, 2)
		}
	}
	return data
}

func unpack(t *rapid.T, data []byte, v int) string {
	bits := 8
	if v >= 10 {
		bits = 16
	}
	at := 0
	take := func(n int) (value int) {
		for range n {
			value = value<<1 | int(data[at/8]>>(7-at%8)&1)
			at++
		}
		return value
	}
	if mode := take(4); mode != 4 {
		t.Fatalf("mode %d", mode)
	}
	text := make([]byte, take(bits))
	for i := range text {
		text[i] = byte(take(8))
	}
	return string(text)
}

// Whatever is drawn can be read, and is what was meant.
func TestRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := string(rapid.SliceOfN(rapid.Byte(), 0, 666).Draw(t, "text"))
		c, err := Encode(text)
		if err != nil {
			t.Fatal(err)
		}
		if got := read(t, c); got != text {
			t.Fatalf("read %q, want %q", got, text)
		}
		for _, at := range [][2]int{{0, 0}, {c.size - 7, 0}, {0, c.size - 7}} {
			for i := range 7 {
				if bit(c, at[0]+i, at[1]) != 1 || bit(c, at[0], at[1]+i) != 1 {
					t.Fatal("a corner has no finder")
				}
			}
		}
	})
	if _, err := Encode(strings.Repeat("x", 667)); !errors.Is(err, fault.Limit) {
		t.Errorf("too long: %v", err)
	}
}

// The image is well-formed, whatever its label.
func TestSVG(t *testing.T) {
	c, err := Encode("otpauth://totp/x?secret=y")
	if err != nil {
		t.Fatal(err)
	}
	var v struct {
		Label string `xml:"aria-label,attr"`
	}
	if err := xml.Unmarshal([]byte(c.SVG(`"<kim>' & co`)), &v); err != nil || v.Label != `"<kim>' & co` {
		t.Errorf("got %q, %v", v.Label, err)
	}
	raw, err := c.PNG()
	if err != nil {
		t.Fatal(err)
	}
	picture, err := png.Decode(bytes.NewReader(raw))
	if err != nil || picture.Bounds().Dx() != (c.size+8)*4 {
		t.Fatalf("%v, %v", picture, err)
	}
	if r, _, _, _ := picture.At(4*4, 4*4).RGBA(); r != 0 {
		t.Error("the corner's module is light")
	}
}

// The example of the standard's annex I: check bytes and format of "01234567" in 1-M with mask 2.
func TestVector(t *testing.T) {
	data := []byte{0x10, 0x20, 0x0c, 0x56, 0x61, 0x80, 0xec, 0x11, 0xec, 0x11, 0xec, 0x11, 0xec, 0x11, 0xec, 0x11}
	if got, want := string(remainder(data, generator(10))), "\xa5\x24\xd4\xc1\xed\x36\xc7\x87\x2c\x55"; got != want {
		t.Errorf("check bytes % x, want % x", got, want)
	}
	c := &Code{size: 21, number: 1, dark: make([]bool, 441), fixed: make([]bool, 441)}
	c.format(2)
	got := ""
	for _, at := range [][2]int{{0, 8}, {1, 8}, {2, 8}, {3, 8}, {4, 8}, {5, 8}, {7, 8}, {8, 8}, {8, 7}, {8, 5}, {8, 4}, {8, 3}, {8, 2}, {8, 1}, {8, 0}} {
		got += string(rune('0' + bit(c, at[0], at[1])))
	}
	if got != "101111001111100" {
		t.Errorf("format %s", got)
	}
}
