// Package qr draws a text as a QR code that any reader can read off a screen.
//
// It knows what is needed for that, and no more: bytes, error correction of
// level M, and versions 1 to 20 (666 bytes), as ISO/IEC 18004 has them.
package qr

import (
	"bytes"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"strings"

	"github.com/haechi-dev/haechi/word/fault"
)

const (
	mostVersion = 20
	quiet       = 4 // modules of white around
)

// Check bytes of a block, and blocks, by version, of level M.
var (
	checks = [...]int{0, 10, 16, 26, 18, 24, 16, 18, 22, 22, 26, 30, 22, 22, 24, 24, 28, 28, 26, 26, 26}
	blocks = [...]int{0, 1, 1, 1, 2, 2, 4, 4, 4, 5, 5, 5, 8, 9, 9, 10, 10, 11, 13, 14, 16}
)

// A Code is a square of modules, dark or light.
type Code struct {
	size   int
	dark   []bool
	fixed  []bool // modules that hold no data
	number int    // version
}

// Encode is a text as a code. One that is longer than 666 bytes is fault.Limit.
func Encode(text string) (*Code, error) {
	for v := 1; v <= mostVersion; v++ {
		data, ok := pack(text, v)
		if !ok {
			continue
		}
		c := &Code{size: 17 + 4*v, number: v}
		c.dark, c.fixed = make([]bool, c.size*c.size), make([]bool, c.size*c.size)
		c.patterns()
		c.place(spread(data, v))
		c.mask()
		return c, nil
	}
	return nil, fault.Limit.Errorf("a text of %d bytes is more than a code holds", len(text))
}

// room is how many bytes a version holds, check bytes included.
func room(v int) int {
	bits := (16*v+128)*v + 64
	if v >= 2 {
		n := v/7 + 2
		bits -= (25*n-10)*n - 55
		if v >= 7 {
			bits -= 36
		}
	}
	return bits / 8
}

// pack writes text as bytes of data: mode, length, text, and filling.
func pack(text string, v int) ([]byte, bool) {
	total := room(v) - checks[v]*blocks[v]
	var bits []byte // a bit each
	put := func(value, n int) {
		for i := n - 1; i >= 0; i-- {
			bits = append(bits, byte(value>>i&1))
		}
	}
	lengthBits := 8
	if v >= 10 {
		lengthBits = 16
	}
	put(4, 4)
	put(len(text), lengthBits)
	for i := range len(text) {
		put(int(text[i]), 8)
	}
	if len(bits) > total*8 || len(text) >= 1<<lengthBits {
		return nil, false
	}
	put(0, min(4, total*8-len(bits)))
	put(0, (8-len(bits)%8)%8)
	data := make([]byte, 0, total)
	for i := 0; i < len(bits); i += 8 {
		var b byte
		for _, bit := range bits[i : i+8] {
			b = b<<1 | bit
		}
		data = append(data, b)
	}
	for fill := byte(0xec); len(data) < total; fill ^= 0xec ^ 0x11 {
		data = append(data, fill)
	}
	return data, true
}

// spread splits data into blocks, adds each one's check bytes, and deals them out by turns.
func spread(data []byte, v int) []byte {
	n, check := blocks[v], checks[v]
	short := room(v) / n // of a block with its check bytes; the last ones may be one longer
	longer := room(v) % n
	divisor := generator(check)
	var bodies, ends [][]byte
	for i := range n {
		size := short - check
		if i >= n-longer {
			size++
		}
		bodies, ends = append(bodies, data[:size]), append(ends, remainder(data[:size], divisor))
		data = data[size:]
	}
	var out []byte
	for i := range short - check + 1 {
		for _, b := range bodies {
			if i < len(b) {
				out = append(out, b[i])
			}
		}
	}
	for i := range check {
		for _, e := range ends {
			out = append(out, e[i])
		}
	}
	return out
}

// multiply is in GF(2^8) modulo x^8+x^4+x^3+x^2+1.
func multiply(x, y byte) byte {
	z := 0
	for i := 7; i >= 0; i-- {
		z = z<<1 ^ z>>7*0x11d
		z ^= int(y>>i&1) * int(x)
	}
	return byte(z)
}

// generator is the Reed–Solomon polynomial of a degree, without its leading term.
func generator(degree int) []byte {
	g := make([]byte, degree)
	g[degree-1] = 1
	root := byte(1)
	for range degree {
		for j := range g {
			g[j] = multiply(g[j], root)
			if j+1 < len(g) {
				g[j] ^= g[j+1]
			}
		}
		root = multiply(root, 2)
	}
	return g
}

func remainder(data, divisor []byte) []byte {
	r := make([]byte, len(divisor))
	for _, b := range data {
		factor := b ^ r[0]
		copy(r, r[1:])
		r[len(r)-1] = 0
		for i := range r {
			r[i] ^= multiply(divisor[i], factor)
		}
	}
	return r
}

func (c *Code) fix(x, y int, dark bool) {
	if x >= 0 && y >= 0 && x < c.size && y < c.size {
		c.dark[y*c.size+x], c.fixed[y*c.size+x] = dark, true
	}
}

// patterns draws what every code of the version has.
func (c *Code) patterns() {
	for i := range c.size {
		c.fix(6, i, i%2 == 0)
		c.fix(i, 6, i%2 == 0)
	}
	for _, at := range [][2]int{{3, 3}, {c.size - 4, 3}, {3, c.size - 4}} {
		for dy := -4; dy <= 4; dy++ {
			for dx := -4; dx <= 4; dx++ {
				d := max(dx, -dx, dy, -dy)
				c.fix(at[0]+dx, at[1]+dy, d != 2 && d != 4)
			}
		}
	}
	for _, y := range c.alignments() {
		for _, x := range c.alignments() {
			last := c.size - 7
			if x == 6 && y == 6 || x == 6 && y == last || x == last && y == 6 {
				continue
			}
			for dy := -2; dy <= 2; dy++ {
				for dx := -2; dx <= 2; dx++ {
					c.fix(x+dx, y+dy, max(dx, -dx, dy, -dy) != 1)
				}
			}
		}
	}
	c.format(0) // holds the place
	c.version()
}

func (c *Code) alignments() (at []int) {
	if c.number == 1 {
		return nil
	}
	n := c.number/7 + 2
	step := (c.number*8 + n*3 + 5) / (n*4 - 4) * 2
	at = make([]int, n)
	at[0] = 6
	for i, pos := n-1, c.size-7; i >= 1; i, pos = i-1, pos-step {
		at[i] = pos
	}
	return at
}

// format says level and mask, with BCH check bits, twice.
func (c *Code) format(mask int) {
	data := mask // level M is 00
	rem := data
	for range 10 {
		rem = rem<<1 ^ rem>>9*0x537
	}
	bits := (data<<10 | rem) ^ 0x5412
	bit := func(i int) bool { return bits>>i&1 == 1 }
	for i := range 6 {
		c.fix(8, i, bit(i))
	}
	c.fix(8, 7, bit(6))
	c.fix(8, 8, bit(7))
	c.fix(7, 8, bit(8))
	for i := 9; i < 15; i++ {
		c.fix(14-i, 8, bit(i))
	}
	for i := range 8 {
		c.fix(c.size-1-i, 8, bit(i))
	}
	for i := 8; i < 15; i++ {
		c.fix(8, c.size-15+i, bit(i))
	}
	c.fix(8, c.size-8, true)
}

func (c *Code) version() {
	if c.number < 7 {
		return
	}
	rem := c.number
	for range 12 {
		rem = rem<<1 ^ rem>>11*0x1f25
	}
	bits := c.number<<12 | rem
	for i := range 18 {
		dark := bits>>i&1 == 1
		a, b := c.size-11+i%3, i/3
		c.fix(a, b, dark)
		c.fix(b, a, dark)
	}
}

// path calls do for every module that holds data, in the order of the data.
func (c *Code) path(do func(at int)) {
	for right := c.size - 1; right >= 1; right -= 2 {
		if right == 6 {
			right = 5
		}
		for i := range c.size {
			y := i
			if (right+1)&2 == 0 {
				y = c.size - 1 - i
			}
			for _, x := range [2]int{right, right - 1} {
				if at := y*c.size + x; !c.fixed[at] {
					do(at)
				}
			}
		}
	}
}

func (c *Code) place(data []byte) {
	i := 0
	c.path(func(at int) {
		if i < len(data)*8 {
			c.dark[at] = data[i/8]>>(7-i%8)&1 == 1
		}
		i++
	})
}

var masks = [8]func(x, y int) bool{
	func(x, y int) bool { return (x+y)%2 == 0 },
	func(_, y int) bool { return y%2 == 0 },
	func(x, _ int) bool { return x%3 == 0 },
	func(x, y int) bool { return (x+y)%3 == 0 },
	func(x, y int) bool { return (x/3+y/2)%2 == 0 },
	func(x, y int) bool { return x*y%2+x*y%3 == 0 },
	func(x, y int) bool { return (x*y%2+x*y%3)%2 == 0 },
	func(x, y int) bool { return ((x+y)%2+x*y%3)%2 == 0 },
}

func (c *Code) apply(mask int) {
	for at := range c.dark {
		if !c.fixed[at] && masks[mask](at%c.size, at/c.size) {
			c.dark[at] = !c.dark[at]
		}
	}
}

// mask inverts by the mask after which the code is the least like what confuses readers.
func (c *Code) mask() {
	best, least := 0, -1
	for m := range masks {
		c.apply(m)
		c.format(m)
		if p := c.penalty(); least < 0 || p < least {
			best, least = m, p
		}
		c.apply(m)
	}
	c.apply(best)
	c.format(best)
}

func (c *Code) penalty() (p int) {
	line := make([]bool, c.size)
	for i := range c.size {
		for j := range c.size {
			line[j] = c.dark[i*c.size+j]
		}
		p += runs(line)
		for j := range c.size {
			line[j] = c.dark[j*c.size+i]
		}
		p += runs(line)
	}
	dark := 0
	for at, d := range c.dark {
		if d {
			dark++
		}
		x, y := at%c.size, at/c.size
		if x+1 < c.size && y+1 < c.size && d == c.dark[at+1] && d == c.dark[at+c.size] && d == c.dark[at+c.size+1] {
			p += 3
		}
	}
	off := dark*20 - len(c.dark)*10
	return p + (max(off, -off)+len(c.dark)-1)/len(c.dark)*10 - 10
}

// runs are the penalties of one line: five or more alike, and what looks like a finder.
func runs(line []bool) (p int) {
	n := 1
	for i := 1; i <= len(line); i++ {
		if i < len(line) && line[i] == line[i-1] {
			n++
			continue
		}
		if n >= 5 {
			p += n - 2
		}
		n = 1
	}
	const a, b = 0b10111010000, 0b00001011101
	window := 0
	for i, d := range line {
		window = window << 1 & 0x7ff
		if d {
			window |= 1
		}
		if i >= 10 && (window == a || window == b) {
			p += 40
		}
	}
	return p
}

// PNG is the code as a picture, four dots a module.
func (c *Code) PNG() ([]byte, error) {
	const dots = 4
	whole := (c.size + 2*quiet) * dots
	picture := image.NewPaletted(image.Rect(0, 0, whole, whole), color.Palette{color.White, color.Black})
	for at, dark := range c.dark {
		if !dark {
			continue
		}
		for i := range dots * dots {
			picture.SetColorIndex((at%c.size+quiet)*dots+i%dots, (at/c.size+quiet)*dots+i/dots, 1)
		}
	}
	var b bytes.Buffer
	err := png.Encode(&b, picture)
	return b.Bytes(), err
}

// SVG is the code as an image that says what it is: dark on white in every
// theme, since readers want it so.
func (c *Code) SVG(label string) string {
	var b strings.Builder
	whole := c.size + 2*quiet
	fmt.Fprintf(&b, `<svg class="qr" role="img" aria-label="%s" viewBox="0 0 %d %d" width="%d" height="%d" shape-rendering="crispEdges"><path fill="#fff" d="M0 0h%dv%dH0z"/><path fill="#000" d="`, escape.Replace(label), whole, whole, whole*5, whole*5, whole, whole)
	for y := range c.size {
		for x := 0; x < c.size; x++ {
			n := 0
			for x+n < c.size && c.dark[y*c.size+x+n] {
				n++
			}
			if n > 0 {
				fmt.Fprintf(&b, "M%d %dh%dv1h-%dz", x+quiet, y+quiet, n, n)
				x += n
			}
		}
	}
	b.WriteString(`"/></svg>`)
	return b.String()
}

var escape = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", `"`, "&quot;", "'", "&#39;")
