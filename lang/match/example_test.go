package match_test

import (
	"fmt"
	"slices"

	"github.com/haechi-dev/haechi/lang/match"
	"github.com/haechi-dev/haechi/word/diag"
)

func Example() {
	critical, err := match.Parse([]byte(`{"detail": {"severity": ["CRITICAL", "HIGH"]}}`))
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(critical.Match([]byte(`{"detail": {"severity": "HIGH"}}`)))
	fmt.Println(critical.Why([]byte(`{"detail": {"severity": "LOW"}}`)))
	// Output:
	// true
	// no match
	//   detail.severity wants ["CRITICAL", "HIGH"] (pattern:1:25) but has "LOW"
}

func ExampleParse() {
	_, err := match.Parse([]byte(`{
  "detail": {"name": [{"wildcrad": "a*"}]}
}`))
	fmt.Println(diag.Detail(err))
	// Output:
	// pattern:2:24: detail.name has the unknown operator "wildcrad"
	//     2 |   "detail": {"name": [{"wildcrad": "a*"}]}
	//       |                        ^
	//       = did you mean "wildcard"?
}

func ExampleSet() {
	var rules []match.Rule[string]
	for id, text := range map[string]string{
		"people":   `{"source": ["people"]}`,
		"everyone": `{"source": [{"exists": true}]}`,
		"machines": `{"source": [{"prefix": "machine-"}]}`,
	} {
		p, err := match.Parse([]byte(text))
		if err != nil {
			fmt.Println(err)
			return
		}
		rules = append(rules, match.Rule[string]{ID: id, Pattern: p})
	}
	ids, err := match.NewSet(rules...).Match([]byte(`{"source": "machine-7"}`), nil)
	slices.Sort(ids)
	fmt.Println(ids, err)
	// Output: [everyone machines] <nil>
}
