package inflate

import "math/bits"

// A code is looked up by its first bits; where it is longer, by the rest of them in a part of the table behind.
const (
	literalBits  = 10
	distanceBits = 8
)

// An entry of a table says what its code stands for: a literal, or the least length or distance, and how many
// bits more say how much is to be added.
const (
	totalBits  = 0x3f    // bits of the code and what is to be added
	special    = 1 << 6  // no code, or one of the next two
	end        = 1 << 7  // of the block
	longer     = 1 << 13 // the code is: the value is where, the total how many bits more it is looked up by
	codeShift  = 8       // bits of the code alone
	codeMask   = 0x1f
	valueShift = 16
	valueMask  = 0x7fff
	literal    = 1 << 31 // the value is one
)

type table [2048]uint32

type tables struct{ literal, distance table }

// plain are the symbols of codes' lengths; literals and distance, what the symbols stand for.
var (
	plain    = plainValues()
	literals = literalValues()
	distance = distanceValues()
)

func plainValues() (all [19]uint32) {
	for i := range all {
		all[i] = uint32(i) << valueShift
	}
	return all
}

func literalValues() (all [288]uint32) {
	for i := range 256 {
		all[i] = literal | uint32(i)<<valueShift
	}
	all[256] = special | end
	base := uint32(3)
	for i := 257; i < 285; i++ {
		extra := uint32(max(0, (i-261)/4))
		all[i] = base<<valueShift | extra
		base += 1 << extra
	}
	all[285] = 258 << valueShift
	all[286], all[287] = special, special
	return all
}

func distanceValues() (all [32]uint32) {
	base := uint32(1)
	for i := range 30 {
		extra := uint32(max(0, (i-2)/2))
		all[i] = base<<valueShift | extra
		base += 1 << extra
	}
	all[30], all[31] = special, special
	return all
}

func fixedTables() *tables {
	var lens [288]uint8
	for i := range lens {
		switch {
		case i < 144:
			lens[i] = 8
		case i < 256:
			lens[i] = 9
		case i < 280:
			lens[i] = 7
		default:
			lens[i] = 8
		}
	}
	t := &tables{}
	t.literal.build(literalBits, lens[:], literals[:])
	for i := range 32 {
		lens[i] = 5
	}
	t.distance.build(distanceBits, lens[:32], distance[:])
	return t
}

// look is the entry of the code that bits begin with.
func (t *table) look(primary uint, bits uint64) uint32 {
	e := t[bits&(1<<primary-1)]
	if e&longer != 0 {
		e = t[(e>>valueShift+uint32(bits>>primary)&(1<<(e&totalBits)-1))%uint32(len(t))]
	}
	return e
}

// build makes the table of the codes that have these lengths. It is false where these are no code.
func (t *table) build(primary uint, lens []uint8, values []uint32) bool {
	var count, first [17]int
	for _, n := range lens {
		count[n]++
	}
	count[0] = 0
	room, longest := 1, 0
	for n := 1; n <= 15; n++ {
		if room = room<<1 - count[n]; room < 0 {
			return false
		}
		first[n+1] = first[n] + count[n]
		if count[n] > 0 {
			longest = n
		}
	}
	if room > 0 { // some bits are no code: that is allowed of at most one distance
		if longest > 1 || len(values) != len(distance) {
			return false
		}
		for i := range 1 << primary {
			t[i] = special
		}
	}
	var sorted [320]uint16
	for symbol, n := range lens {
		if n > 0 {
			sorted[first[n]] = uint16(symbol)
			first[n]++
		}
	}
	return t.place(primary, lens, values, sorted[:first[longest]], &count)
}

// place gives each symbol its code, the shortest first.
func (t *table) place(primary uint, lens []uint8, values []uint32, sorted []uint16, count *[17]int) bool {
	code, length := uint16(0), uint(1)
	free, part, partBits := 1<<primary, -1, uint(0) // where there is room for longer codes; the part that is being filled
	for _, symbol := range sorted {
		n := uint(lens[symbol])
		code <<= n - length
		length = n
		reversed := int(bits.Reverse16(code) >> (16 - n))
		code++
		entry := values[symbol] + uint32(n)<<codeShift + uint32(n)
		if n <= primary {
			for i := reversed; i < 1<<primary; i += 1 << n {
				t[i] = entry
			}
			count[n]--
			continue
		}
		if prefix := reversed & (1<<primary - 1); prefix != part {
			part, partBits = prefix, n-primary
			for room := 1<<partBits - count[n]; room > 0 && primary+partBits < 15; {
				partBits++
				room = room<<1 - count[primary+partBits]
			}
			if free+1<<partBits > len(t) {
				return false
			}
			t[prefix] = special | longer | uint32(free)<<valueShift | uint32(partBits)
			free += 1 << partBits
		}
		count[n]--
		start := free - 1<<partBits
		for i := reversed >> primary; i < 1<<partBits; i += 1 << (n - primary) {
			t[start+i] = entry
		}
	}
	return true
}
