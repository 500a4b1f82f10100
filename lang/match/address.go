package match

import (
	"bytes"
	"net/netip"
)

// address reads an IP address as netip.ParseAddr does, but without zones, and
// without an allocation for texts that are none.
func address(text []byte) (netip.Addr, bool) {
	if len(text) < 2 || len(text) > len("0000:0000:0000:0000:0000:ffff:255.255.255.255") {
		return netip.Addr{}, false
	}
	if bytes.IndexByte(text, ':') < 0 {
		four, ok := address4(text)
		return netip.AddrFrom4(four), ok
	}
	return address6(text)
}

func address4(text []byte) (four [4]byte, ok bool) {
	at := 0
	for i := range four {
		if i > 0 {
			if at == len(text) || text[at] != '.' {
				return four, false
			}
			at++
		}
		start, v := at, 0
		for ; at < len(text) && at < start+3 && '0' <= text[at] && text[at] <= '9'; at++ {
			v = v*10 + int(text[at]-'0')
		}
		if at == start || v > 255 || text[start] == '0' && at > start+1 {
			return four, false
		}
		four[i] = byte(v)
	}
	return four, at == len(text)
}

func address6(text []byte) (netip.Addr, bool) {
	var ip [16]byte
	filled, gap := 0, -1 // bytes of ip; where "::" stands in them
	if bytes.HasPrefix(text, []byte("::")) {
		gap, text = 0, text[2:]
	}
	for len(text) > 0 && filled < 16 {
		group, n := hexGroup(text)
		if n == 0 {
			return netip.Addr{}, false
		}
		if n < len(text) && text[n] == '.' {
			four, ok := address4(text)
			if !ok || filled > 12 || gap < 0 && filled != 12 {
				return netip.Addr{}, false
			}
			filled += copy(ip[filled:], four[:])
			text = nil
			break
		}
		ip[filled], ip[filled+1] = byte(group>>8), byte(group)
		filled, text = filled+2, text[n:]
		if len(text) == 0 {
			break
		}
		if text[0] != ':' || len(text) == 1 {
			return netip.Addr{}, false
		}
		if text = text[1:]; text[0] == ':' {
			if gap >= 0 {
				return netip.Addr{}, false
			}
			gap, text = filled, text[1:]
		}
	}
	switch {
	case len(text) > 0, gap < 0 && filled < 16, gap >= 0 && filled == 16:
		return netip.Addr{}, false
	case gap >= 0:
		moved := copy(ip[16-(filled-gap):], ip[gap:filled])
		clear(ip[gap : 16-moved])
	}
	return netip.AddrFrom16(ip), true
}

// hexGroup reads up to four hexadecimal digits.
func hexGroup(text []byte) (v uint16, n int) {
	for ; n < len(text) && n < 4; n++ {
		d, ok := hexDigit(text[n])
		if !ok {
			break
		}
		v = v<<4 | uint16(d)
	}
	return v, n
}

func hexDigit(c byte) (byte, bool) {
	switch {
	case '0' <= c && c <= '9':
		return c - '0', true
	case 'a' <= c && c <= 'f':
		return c - 'a' + 10, true
	case 'A' <= c && c <= 'F':
		return c - 'A' + 10, true
	}
	return 0, false
}
