package secret

import "regexp/syntax"

func parseRegexp(pattern string) (*syntax.Regexp, error) {
	return syntax.Parse(pattern, syntax.Perl)
}

// longest is how many bytes re can match, bounded: it is the window that a rule needs.
func longest(re *syntax.Regexp) int {
	const most = 1 << 12
	n := 0
	switch re.Op {
	case syntax.OpLiteral:
		n = 4 * len(re.Rune)
		if ascii(re.Rune) {
			n = len(re.Rune)
		}
	case syntax.OpCharClass, syntax.OpAnyChar, syntax.OpAnyCharNotNL:
		n = 4
		if len(re.Rune) > 0 && re.Rune[len(re.Rune)-1] < 0x80 {
			n = 1
		}
	case syntax.OpConcat:
		for _, sub := range re.Sub {
			n += longest(sub)
		}
	case syntax.OpAlternate:
		for _, sub := range re.Sub {
			n = max(n, longest(sub))
		}
	case syntax.OpCapture, syntax.OpQuest:
		n = longest(re.Sub[0])
	case syntax.OpRepeat:
		if re.Max < 0 {
			return most
		}
		n = re.Max * longest(re.Sub[0])
	case syntax.OpStar, syntax.OpPlus:
		return most
	}
	return min(n, most)
}

func ascii(runes []rune) bool {
	for _, r := range runes {
		if r >= 0x80 {
			return false
		}
	}
	return true
}
