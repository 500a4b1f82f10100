package sbom_test

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"
)

// schemas are JSON Schemas by the names of their files: the part of the language
// that CycloneDX's and SPDX's use.
type schemas map[string]map[string]any

func loadSchemas(t *testing.T) schemas {
	dir := os.Getenv("HAECHI_TESTDATA")
	if dir == "" {
		t.Skip("HAECHI_TESTDATA is not set")
	}
	all := schemas{}
	for _, name := range []string{"bom-1.6.schema.json", "spdx.schema.json", "jsf-0.82.schema.json", "spdx-2.3.schema.json"} {
		text, err := os.ReadFile(filepath.Join(dir, "schemas", name))
		if err != nil {
			t.Skip("no schemas there:", err)
		}
		var schema map[string]any
		if err := json.Unmarshal(text, &schema); err != nil {
			t.Fatal(err)
		}
		all[name] = schema
	}
	return all
}

// check says where a document does not hold to a schema.
func (s schemas) check(name string, document []byte) []string {
	var value any
	if err := json.Unmarshal(document, &value); err != nil {
		return []string{err.Error()}
	}
	return s.hold(name, s[name], value, "")
}

func (s schemas) hold(file string, schema map[string]any, value any, at string) (wrong []string) {
	if ref, ok := schema["$ref"].(string); ok {
		other, pointer, _ := strings.Cut(ref, "#")
		if other == "" {
			other = file
		}
		var target any = s[other]
		for part := range strings.SplitSeq(strings.Trim(pointer, "/"), "/") {
			if part != "" {
				target = target.(map[string]any)[part]
			}
		}
		return s.hold(other, target.(map[string]any), value, at)
	}
	say := func(format string, a ...any) { wrong = append(wrong, at+": "+fmt.Sprintf(format, a...)) }
	wrong = append(wrong, s.holdParts(file, schema, value, at)...)
	if kind, ok := schema["type"].(string); ok && !isKind(kind, value) {
		say("%T is no %s", value, kind)
		return wrong
	}
	if enum, ok := schema["enum"].([]any); ok && !contains(enum, value) {
		say("%v is not among %d values", value, len(enum))
	}
	if only, ok := schema["const"]; ok && !reflect.DeepEqual(only, value) {
		say("%v is not %v", value, only)
	}
	switch v := value.(type) {
	case string:
		if pattern, ok := schema["pattern"].(string); ok {
			if r, err := regexp.Compile(pattern); err == nil && !r.MatchString(v) {
				say("%q is not %s", v, pattern)
			}
		}
		if least, ok := schema["minLength"].(float64); ok && len(v) < int(least) {
			say("%q is too short", v)
		}
	case []any:
		if items, ok := schema["items"].(map[string]any); ok {
			for i, item := range v {
				wrong = append(wrong, s.hold(file, items, item, fmt.Sprintf("%s/%d", at, i))...)
			}
		}
		if tuple, ok := schema["items"].([]any); ok { // one schema for each place
			for i, item := range v {
				if i < len(tuple) {
					wrong = append(wrong, s.hold(file, tuple[i].(map[string]any), item, fmt.Sprintf("%s/%d", at, i))...)
				} else if schema["additionalItems"] == false {
					say("%d items", len(v))
				}
			}
		}
		if least, ok := schema["minItems"].(float64); ok && len(v) < int(least) {
			say("%d items", len(v))
		}
		if schema["uniqueItems"] == true {
			for i := range v {
				if contains(v[:i], v[i]) {
					say("%v stands there twice", v[i])
				}
			}
		}
	case map[string]any:
		wrong = append(wrong, s.holdObject(file, schema, v, at)...)
	}
	return wrong
}

func (s schemas) holdObject(file string, schema, value map[string]any, at string) (wrong []string) {
	required, _ := schema["required"].([]any)
	for _, name := range required {
		if _, ok := value[name.(string)]; !ok {
			wrong = append(wrong, fmt.Sprintf("%s: %s is missing", at, name))
		}
	}
	properties, _ := schema["properties"].(map[string]any)
	for name, v := range value {
		if p, ok := properties[name].(map[string]any); ok {
			wrong = append(wrong, s.hold(file, p, v, at+"/"+name)...)
		} else if schema["additionalProperties"] == false {
			wrong = append(wrong, fmt.Sprintf("%s: %s is not expected", at, name))
		}
	}
	return wrong
}

// holdParts are the schemas that a schema is put together of.
func (s schemas) holdParts(file string, schema map[string]any, value any, at string) (wrong []string) {
	count := func(key string) (met, of int, first []string) {
		list, _ := schema[key].([]any)
		for _, part := range list {
			w := s.hold(file, part.(map[string]any), value, at)
			if of++; len(w) == 0 {
				met++
			} else if first == nil {
				first = w
			}
		}
		return met, of, first
	}
	if met, of, first := count("allOf"); met < of {
		wrong = append(wrong, first...)
	}
	if met, of, first := count("anyOf"); of > 0 && met == 0 {
		wrong = append(wrong, fmt.Sprintf("%s: none of anyOf: %v", at, first))
	}
	if met, of, first := count("oneOf"); of > 0 && met != 1 {
		wrong = append(wrong, fmt.Sprintf("%s: %d of oneOf: %v", at, met, first))
	}
	return wrong
}

func contains(list []any, value any) bool {
	for _, other := range list {
		if reflect.DeepEqual(other, value) {
			return true
		}
	}
	return false
}

func isKind(kind string, value any) bool {
	switch v := value.(type) {
	case string:
		return kind == "string"
	case bool:
		return kind == "boolean"
	case float64:
		return kind == "number" || kind == "integer" && v == float64(int64(v))
	case []any:
		return kind == "array"
	case map[string]any:
		return kind == "object"
	}
	return kind == "null"
}
