package guard

import (
	"testing"
	"time"
)

// No rule file crashes or hangs: it is refused, or it says something about a document.
func FuzzRules(f *testing.F) {
	for _, s := range []string{
		"let b = Resources.*[ Type == 'AWS::S3::Bucket' ]\nrule R when %b !empty { %b.Properties.X == true <<m>> }",
		"rule p(x) { %x[ keys == /a/ ] in [r[1,2), 'a', /b/] or this.%x[0] exists }\np(Resources)",
		"AWS::S3::Bucket when Properties exists { let n = count(Properties.*)\n %n >= 1 }",
		"some a.'b'[ c | d not in %c ][*].1 not empty { e is_list } or f",
		"let t = regex_replace(Resources.a, '^(a)', '${1}')\n%t != null",
		"X == {'a': [1.5e3, true, \"q\"]} # c",
	} {
		f.Add(s)
	}
	doc := mustLoad(f, "t.yaml", "Resources: {a: {Type: 'AWS::S3::Bucket', Properties: {X: [1, 'b', null, {c: 1.5}]}}, b: text}\nX: {a: 1}\n")
	f.Fuzz(func(t *testing.T, rules string) {
		if len(rules) > 2000 {
			return
		}
		r, err := Parse("f.guard", []byte(rules))
		if err != nil {
			return
		}
		r.Check(doc, time.Time{})
	})
}

// No document crashes or hangs, and the same document gives the same report.
func FuzzDocument(f *testing.F) {
	for _, s := range []string{
		`{"Resources": {"a": {"Type": "AWS::S3::Bucket", "Properties": {"X": [1, 2.5, null, true, "s"]}}}}`,
		"Resources:\n  a: &x !Sub 'x'\n  b: *x\n  c: {<<: {d: 1}}\n  e: !GetAtt a.b\n",
		"- [!Ref a, ~, 1e5, .5, 007]\n- ? [complex]\n  : 1\n",
		"{a: 1, b: [c, d]}", "\xef\xbb\xbf{}", "a: |\n  text\n---\nb",
	} {
		f.Add([]byte(s))
	}
	r := mustParse(f, "Resources.*[ Type == 'AWS::S3::Bucket' ].Properties.X[*] in ['s', r[0,9]]\n Resources.*.* { this[ keys == /a/ ] exists\n this !empty }")
	f.Fuzz(func(t *testing.T, text []byte) {
		if len(text) > 10_000 {
			return
		}
		d, err := Load("f.yaml", text)
		if err != nil {
			return
		}
		if a, b := r.Check(d, time.Time{}), r.Check(d, time.Time{}); a.Status != b.Status {
			t.Errorf("%v, then %v", a.Status, b.Status)
		}
	})
}
