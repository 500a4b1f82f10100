package iac

import (
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"io/fs"
	"net/netip"
	"path"
	"slices"
	"strings"

	"github.com/haechi-dev/haechi/lang/guard"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/function"
	"github.com/zclconf/go-cty/cty/function/stdlib"
)

// hclFunctions are Terraform's functions that need nothing but their arguments.
func hclFunctions() map[string]function.Function {
	text := func(f func(string) (string, error)) function.Function {
		return function.New(&function.Spec{Params: []function.Parameter{{Name: "s", Type: cty.String}}, Type: function.StaticReturnType(cty.String),
			Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
				s, err := f(args[0].AsString())
				return cty.StringVal(s), err
			}})
	}
	hexed := func(b []byte) (string, error) { return hex.EncodeToString(b), nil }
	return map[string]function.Function{
		"abs": stdlib.AbsoluteFunc, "ceil": stdlib.CeilFunc, "chomp": stdlib.ChompFunc, "chunklist": stdlib.ChunklistFunc, "coalesce": stdlib.CoalesceFunc,
		"coalescelist": stdlib.CoalesceListFunc, "compact": stdlib.CompactFunc, "concat": stdlib.ConcatFunc, "contains": stdlib.ContainsFunc, "csvdecode": stdlib.CSVDecodeFunc,
		"distinct": stdlib.DistinctFunc, "element": stdlib.ElementFunc, "flatten": stdlib.FlattenFunc, "floor": stdlib.FloorFunc, "format": stdlib.FormatFunc,
		"formatlist": stdlib.FormatListFunc, "indent": stdlib.IndentFunc, "index": stdlib.IndexFunc, "join": stdlib.JoinFunc, "jsondecode": stdlib.JSONDecodeFunc,
		"keys": stdlib.KeysFunc, "length": stdlib.LengthFunc, "log": stdlib.LogFunc, "lookup": stdlib.LookupFunc, "lower": stdlib.LowerFunc, "max": stdlib.MaxFunc,
		"min": stdlib.MinFunc, "parseint": stdlib.ParseIntFunc, "pow": stdlib.PowFunc, "range": stdlib.RangeFunc, "regex": stdlib.RegexFunc, "regexall": stdlib.RegexAllFunc,
		"replace": stdlib.ReplaceFunc, "reverse": stdlib.ReverseListFunc, "setintersection": stdlib.SetIntersectionFunc, "setproduct": stdlib.SetProductFunc,
		"setsubtract": stdlib.SetSubtractFunc, "setunion": stdlib.SetUnionFunc, "signum": stdlib.SignumFunc, "slice": stdlib.SliceFunc, "sort": stdlib.SortFunc,
		"split": stdlib.SplitFunc, "strrev": stdlib.ReverseFunc, "substr": stdlib.SubstrFunc, "title": stdlib.TitleFunc, "trim": stdlib.TrimFunc, "trimprefix": stdlib.TrimPrefixFunc,
		"trimspace": stdlib.TrimSpaceFunc, "trimsuffix": stdlib.TrimSuffixFunc, "upper": stdlib.UpperFunc, "values": stdlib.ValuesFunc, "zipmap": stdlib.ZipmapFunc,
		"merge": stdlib.MergeFunc, "tobool": stdlib.MakeToFunc(cty.Bool), "tonumber": stdlib.MakeToFunc(cty.Number), "tostring": stdlib.MakeToFunc(cty.String),
		"tolist": stdlib.MakeToFunc(cty.List(cty.DynamicPseudoType)), "tomap": stdlib.MakeToFunc(cty.Map(cty.DynamicPseudoType)), "toset": stdlib.MakeToFunc(cty.Set(cty.DynamicPseudoType)),
		"base64encode": text(func(s string) (string, error) { return base64.StdEncoding.EncodeToString([]byte(s)), nil }),
		"base64decode": text(func(s string) (string, error) { b, err := base64.StdEncoding.DecodeString(s); return string(b), err }),
		"md5":          text(func(s string) (string, error) { b := md5.Sum([]byte(s)); return hexed(b[:]) }),
		"sha1":         text(func(s string) (string, error) { b := sha1.Sum([]byte(s)); return hexed(b[:]) }),
		"sha256":       text(func(s string) (string, error) { b := sha256.Sum256([]byte(s)); return hexed(b[:]) }),
		"basename":     text(func(s string) (string, error) { return path.Base(s), nil }),
		"dirname":      text(func(s string) (string, error) { return path.Dir(s), nil }),
		"startswith":   twoTexts(strings.HasPrefix),
		"endswith":     twoTexts(strings.HasSuffix),
		"strcontains":  twoTexts(strings.Contains),
		"cidrsubnet":   cidrSubnet(),
		"alltrue":      truths(true),
		"anytrue":      truths(false),
	}
}

func twoTexts(f func(a, b string) bool) function.Function {
	return function.New(&function.Spec{Params: []function.Parameter{{Name: "a", Type: cty.String}, {Name: "b", Type: cty.String}}, Type: function.StaticReturnType(cty.Bool),
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
			return cty.BoolVal(f(args[0].AsString(), args[1].AsString())), nil
		}})
}

// truths tells whether all of a list are true, or any is.
func truths(all bool) function.Function {
	return function.New(&function.Spec{Params: []function.Parameter{{Name: "list", Type: cty.List(cty.Bool)}}, Type: function.StaticReturnType(cty.Bool),
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
			for it := args[0].ElementIterator(); it.Next(); {
				if _, v := it.Element(); v.True() != all {
					return cty.BoolVal(!all), nil
				}
			}
			return cty.BoolVal(all), nil
		}})
}

// cidrSubnet is a part of a network: the number-th with so many bits more.
func cidrSubnet() function.Function {
	return function.New(&function.Spec{Params: []function.Parameter{{Name: "prefix", Type: cty.String}, {Name: "bits", Type: cty.Number}, {Name: "number", Type: cty.Number}},
		Type: function.StaticReturnType(cty.String),
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
			p, err := netip.ParsePrefix(args[0].AsString())
			if err != nil {
				return cty.NilVal, err
			}
			bits, _ := args[1].AsBigFloat().Int64()
			n, _ := args[2].AsBigFloat().Int64()
			size := p.Bits() + int(bits)
			b := p.Masked().Addr().AsSlice()
			if size > len(b)*8 || bits < 0 || n < 0 {
				return cty.NilVal, errors.New("the network is too small")
			}
			for i := size - 1; i >= p.Bits() && n > 0; i, n = i-1, n>>1 {
				if n&1 == 1 {
					b[i/8] |= 1 << (7 - i%8)
				}
			}
			a, _ := netip.AddrFromSlice(b)
			return cty.StringVal(netip.PrefixFrom(a, size).String()), nil
		}})
}

// call evaluates a function.
func (f *frame) call(e *hclsyntax.FunctionCallExpr) *value {
	var args []*value
	for i, a := range e.Args {
		v := f.eval(a)
		if e.ExpandFinal && i == len(e.Args)-1 {
			if !v.IsList() {
				return f.unknown(e.Range(), "%s", reason(v, "an argument is unknown"))
			}
			args = append(args, v.Items()...)
			continue
		}
		args = append(args, v)
	}
	if v, ok := f.special(e, args); ok {
		return v
	}
	fn, ok := f.m.root.functions[e.Name]
	if !ok {
		return f.unknown(e.Range(), "the function %s is not evaluated here", e.Name)
	}
	return f.apply(fn.Call, e.Range(), args...)
}

// special are functions that can be answered though something in their arguments is unknown.
func (f *frame) special(e *hclsyntax.FunctionCallExpr, args []*value) (*value, bool) {
	switch e.Name {
	case "jsonencode", "yamlencode": // rules look into what CloudFormation has as a map
		if len(args) == 1 {
			return args[0].Clone(), true
		}
	case "sensitive", "nonsensitive", "ephemeralasnull":
		if len(args) == 1 {
			return args[0].Clone(), true
		}
	case "try":
		for _, a := range args {
			if a.Why() == "" {
				return a.Clone(), true
			}
		}
		if len(args) > 0 {
			return args[0].Clone(), true
		}
	case "can":
		return f.unknown(e.Range(), "can() is not evaluated here"), len(args) != 1 || args[0].Why() != ""
	case "concat":
		return f.concat(args)
	case "merge":
		return f.merge(args)
	case "toset", "tolist", "tomap", "compact", "flatten", "distinct":
		if len(args) == 1 && args[0].Why() != "" && args[0].Unknown() == nil && e.Name != "distinct" {
			return flattened(args[0], e.Name == "flatten"), true
		}
		if len(args) == 1 && e.Name == "toset" {
			return setOf(args[0]), args[0].IsList()
		}
	case "length":
		if len(args) == 1 && args[0].Unknown() == nil && args[0].Why() != "" && !doubtful(args[0]) {
			return guard.NewInt(int64(args[0].Len())), true
		}
	case "coalesce":
		for _, a := range args {
			switch {
			case a.Unknown() != nil:
				return a.Clone(), true
			case !a.IsNull() && a.String() != `""`:
				return a.Clone(), true
			}
		}
	case "lookup":
		if len(args) >= 2 && args[0].IsMap() {
			if key, ok := args[1].Scalar(); ok {
				if x := args[0].Get(key); x != nil {
					return x.Clone(), true
				}
				if len(args) == 3 {
					return args[2].Clone(), true
				}
			}
		}
	case "element":
		if len(args) == 2 && args[0].IsList() && args[0].Len() > 0 {
			if n, ok := args[1].Whole(); ok && n >= 0 {
				return args[0].Items()[int(n)%args[0].Len()].Clone(), true
			}
		}
	case "one":
		if len(args) == 1 && args[0].IsList() {
			if args[0].Len() == 0 {
				return guard.NewNull(), true
			}
			return args[0].Items()[0].Clone(), true
		}
	case "join":
		if len(args) == 2 && args[1].IsList() && args[1].Why() != "" {
			return f.join(args, e), true
		}
	case "format":
		if len(args) > 1 && args[0].Unknown() == nil {
			return f.format(args)
		}
	case "file", "templatefile", "filebase64":
		return f.file(e, args), true
	case "sum":
		return f.unknown(e.Range(), "sum() is not evaluated here"), true
	}
	return nil, false
}

func doubtful(v *value) bool {
	return slices.ContainsFunc(v.Items(), func(x *value) bool { return x.Doubt() != "" })
}

func (f *frame) concat(args []*value) (*value, bool) {
	var all []*value
	for _, a := range args {
		if !a.IsList() {
			return nil, false
		}
		for _, x := range a.Items() {
			all = append(all, x.Clone())
		}
	}
	return guard.NewList(all...), true
}

func (f *frame) merge(args []*value) (*value, bool) {
	var all []member
	for _, a := range args {
		if a.IsNull() {
			continue
		}
		if !a.IsMap() {
			return nil, false
		}
		for name, x := range a.Members() {
			all = append(all, pair(name.Clone(), x.Clone()))
		}
	}
	return guard.NewMap(unique(all)...), true
}

func flattened(v *value, deep bool) *value {
	if !v.IsList() {
		return v.Clone()
	}
	var all []*value
	for _, x := range v.Items() {
		if deep && x.IsList() {
			for _, y := range flattened(x, true).Items() {
				all = append(all, y.Clone())
			}
			continue
		}
		if !x.IsNull() {
			all = append(all, x.Clone())
		}
	}
	return guard.NewList(all...)
}

// setOf leaves out what comes again.
func setOf(v *value) *value {
	var all []*value
	for _, x := range v.Items() {
		if !slices.ContainsFunc(all, func(y *value) bool { same, known := guard.Same(x, y); return same && known }) || len(all) > 1000 {
			all = append(all, x.Clone())
		}
	}
	return guard.NewList(all...)
}

func (f *frame) join(args []*value, e *hclsyntax.FunctionCallExpr) *value {
	by, _ := args[0].Text()
	var all []piece
	for i, x := range args[1].Items() {
		if i > 0 {
			all = append(all, piece{text: by})
		}
		got, ok := pieces(x)
		if !ok {
			return f.unknown(e.Range(), "what is joined is no text")
		}
		all = append(all, got...)
	}
	return wholeText(all, func() *value { return nil })
}

// format puts texts where %s stands; ok is false for what is more than that.
func (f *frame) format(args []*value) (*value, bool) {
	template, _ := args[0].Text()
	parts := strings.Split(template, "%s")
	if len(parts) != len(args) || strings.Contains(strings.Join(parts, ""), "%") {
		return nil, false
	}
	all := []piece{{text: parts[0]}}
	for i, a := range args[1:] {
		got, ok := pieces(a)
		if !ok {
			return nil, false
		}
		all = append(append(all, got...), piece{text: parts[i+1]})
	}
	return wholeText(all, func() *value { return nil }), true
}

// file is the text of a file of the tree. What a template makes of its variables is unknown.
func (f *frame) file(e *hclsyntax.FunctionCallExpr, args []*value) *value {
	const largest = 1 << 20
	name, ok := "", false
	if len(args) > 0 {
		name, ok = args[0].Text()
	}
	if !ok || f.m.root.tree == nil || path.IsAbs(name) {
		return f.unknown(e.Range(), "the file of %s() is unknown", e.Name)
	}
	name = path.Clean(name)
	if !fs.ValidPath(name) {
		return f.unknown(e.Range(), "the file of %s() is outside", e.Name)
	}
	info, err := fs.Stat(f.m.root.tree, name)
	if err != nil { // Terraform runs in the folder of the root module
		name = path.Join(f.m.root.dir, name)
		info, err = fs.Stat(f.m.root.tree, name)
	}
	if err != nil || info.Size() > largest {
		return f.unknown(e.Range(), "there is no file %s", name)
	}
	content, err := fs.ReadFile(f.m.root.tree, name)
	switch {
	case err != nil:
		return f.unknown(e.Range(), "there is no file %s", name)
	case e.Name == "filebase64":
		return text(base64.StdEncoding.EncodeToString(content))
	case e.Name == "templatefile" && (strings.Contains(string(content), "${") || strings.Contains(string(content), "%{")):
		return f.rendered(name, content, args, e)
	}
	return text(string(content))
}

// rendered is a template with its variables.
func (f *frame) rendered(name string, content []byte, args []*value, e *hclsyntax.FunctionCallExpr) *value {
	parsed, diags := hclsyntax.ParseTemplate(content, name, firstPosition())
	if diags.HasErrors() || len(args) != 2 || !args[1].IsMap() {
		return f.unknown(e.Range(), "the template %s cannot be rendered", name)
	}
	names := map[string]*value{}
	for n, v := range args[1].Members() {
		key, _ := n.Text()
		names[key] = v
	}
	v := f.with(names).eval(parsed)
	return f.at(v, e.Range())
}
