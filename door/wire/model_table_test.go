package wire

import (
	"bytes"
	"compress/gzip"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// The tables beside the services are made here:
//
//	go test ./door/wire -run TestTables -update [-botocore FOLDER]
//
// FOLDER holds botocore's data (SERVICE/VERSION/service-2.json or .json.gz);
// without it python3 is asked where botocore lies. A new service is one line below.
var (
	update   = flag.Bool("update", false, "write the models' tables anew")
	botocore = flag.String("botocore", "", "botocore's folder data")

	// Our package, and botocore's name of the service.
	tables = [][2]string{{"sts", "sts"}, {"securityhub", "securityhub"}, {"events", "events"}, {"iam", "iam"}, {"accessanalyzer", "accessanalyzer"}, {"inspector2", "inspector2"}, {"ecr", "ecr"}, {"codebuild", "codebuild"}, {"codecommit", "codecommit"}, {"secretsmanager", "secretsmanager"}, {"ssm", "ssm"}, {"codepipeline", "codepipeline"}, {"logs", "logs"}}
)

// The tables are what botocore says, where botocore is there in the version they were made from.
func TestTables(t *testing.T) {
	folder, version := findBotocore(t)
	for _, table := range tables {
		files, err := filepath.Glob(filepath.Join(folder, table[1], "*", "service-2.json*"))
		if err != nil || len(files) == 0 {
			t.Fatalf("no model of %s in %s", table[1], folder)
		}
		slices.Sort(files)
		got, err := trim(unzip(t, files[len(files)-1]), version)
		if err != nil {
			t.Fatalf("%s: %v", table[1], err)
		}
		path := filepath.Join(table[0], "model.json")
		if *update {
			if err := os.MkdirAll(table[0], 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, got, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if madeFrom := notice(version); !bytes.Contains(want, []byte(madeFrom)) {
			t.Logf("%s was made from another botocore than %s, which is here: not compared", path, version)
			continue
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%s is old: run go test ./door/wire -run TestTables -update", path)
		}
	}
}

// Every table can be read, every pattern compiles, every route is unambiguous.
func TestTablesAreSound(t *testing.T) {
	for _, table := range tables {
		m := tableOf(t, table[0])
		for name, s := range m.Shapes {
			if _, err := compile(s.Pattern); err != nil {
				t.Errorf("%s: %s: %v", table[0], name, err)
			}
		}
		if _, err := m.routes(); err != nil {
			t.Errorf("%s: %v", table[0], err)
		}
		if len(m.Operations) == 0 || strings.ReplaceAll(m.Signing, "-", "") != table[0] { // access-analyzer
			t.Errorf("%s: %d operations, signed as %s", table[0], len(m.Operations), m.Signing)
		}
	}
}

func tableOf(t testing.TB, service string) *Model {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(service, "model.json"))
	if err != nil {
		t.Fatal(err)
	}
	m, err := ReadModel(text)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func findBotocore(t *testing.T) (folder, version string) {
	t.Helper()
	out, err := exec.Command("python3", "-c", "import botocore,os; print(os.path.dirname(botocore.__file__)); print(botocore.__version__)").Output()
	if err != nil && *botocore == "" {
		t.Skip("no botocore here: the tables are not compared")
	}
	if where, v, ok := strings.Cut(strings.TrimSpace(string(out)), "\n"); ok {
		folder, version = filepath.Join(where, "data"), v
	}
	if *botocore != "" {
		folder = *botocore
	}
	return folder, version
}

func unzip(t *testing.T, file string) []byte {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if filepath.Ext(file) != ".gz" {
		return text
	}
	z, err := gzip.NewReader(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	if text, err = io.ReadAll(z); err != nil {
		t.Fatal(err)
	}
	return text
}

func notice(version string) string {
	return "Generated from botocore " + version + " by go test ./door/wire -run TestTables -update; do not edit. " +
		"botocore is Copyright Amazon.com, Inc. or its affiliates, Apache License 2.0; documentation, examples and what the wire does not need were left out."
}

// service2 is what is read of a service-2.json.
type service2 struct {
	Metadata struct {
		APIVersion, EndpointPrefix, Protocol, JSONVersion, TargetPrefix, SigningName, XMLNamespace string
	}
	Operations map[string]struct {
		HTTP     struct{ Method, RequestURI string }
		Input    struct{ Shape string }
		Output   struct{ Shape, ResultWrapper string }
		Errors   []struct{ Shape string }
		AuthType string
	}
	Shapes map[string]struct {
		Type, Pattern, TimestampFormat, Payload      string
		Required, Enum                               []string
		Members                                      orderedMembers
		Member, Key, Value                           *ref
		Flattened, Union, Document, Fault, Exception bool
		Min, Max                                     *float64
		Error                                        struct {
			Code           string
			HTTPStatusCode int
		}
	}
}

type ref struct{ Shape, Location, LocationName, TimestampFormat string }

// orderedMembers keeps the order of the model: answers in XML follow it.
type orderedMembers []member

func (o *orderedMembers) UnmarshalJSONFrom(dec *jsontext.Decoder) error {
	if _, err := dec.ReadToken(); err != nil {
		return err
	}
	for dec.PeekKind() != '}' {
		name, err := dec.ReadToken()
		if err != nil {
			return err
		}
		one := member{Name: name.String()}
		var r ref
		if err := json.UnmarshalDecode(dec, &r, json.MatchCaseInsensitiveNames(true)); err != nil {
			return err
		}
		if r.TimestampFormat != "" {
			return fmt.Errorf("member %s has a timestamp format of its own, which the table cannot say", one.Name)
		}
		one.Shape, one.In = r.Shape, r.Location
		if r.LocationName != one.Name {
			one.As = r.LocationName
		}
		*o = append(*o, one)
	}
	_, err := dec.ReadToken()
	return err
}

// trim makes a table, one operation or shape a line.
func trim(model []byte, version string) ([]byte, error) {
	var in service2
	if err := json.Unmarshal(model, &in, json.MatchCaseInsensitiveNames(true)); err != nil {
		return nil, err
	}
	signing := in.Metadata.SigningName
	if signing == "" {
		signing = in.Metadata.EndpointPrefix
	}
	operations, shapes := map[string]any{}, map[string]any{}
	for name, o := range in.Operations {
		one := &Modelled{Method: o.HTTP.Method, URI: o.HTTP.RequestURI, Input: o.Input.Shape, Output: o.Output.Shape, Wrapper: o.Output.ResultWrapper, Open: o.AuthType == "none"}
		for _, e := range o.Errors {
			one.Errors = append(one.Errors, e.Shape)
		}
		operations[name] = one
	}
	for name, s := range in.Shapes {
		one := &modelType{Type: s.Type, Members: s.Members, Required: s.Required, Flat: s.Flattened, Enum: s.Enum, Min: s.Min, Max: s.Max,
			Format: s.TimestampFormat, Union: s.Union, Document: s.Document, Payload: s.Payload, Status: s.Error.HTTPStatusCode, Fault: s.Fault}
		for from, into := range map[*ref]**member{s.Member: &one.Element, s.Key: &one.Key, s.Value: &one.Value} {
			if from != nil {
				*into = &member{Shape: from.Shape, As: from.LocationName}
			}
		}
		if s.Error.Code != name {
			one.Code = s.Error.Code
		}
		// A few patterns look ahead, which Go's never do: those are not checked.
		if _, err := compile(s.Pattern); err == nil {
			one.Pattern = s.Pattern
		}
		shapes[name] = one
	}
	var b bytes.Buffer
	head := Model{Notice: notice(version), Version: in.Metadata.APIVersion, Protocol: Protocol(in.Metadata.Protocol), JSONVersion: in.Metadata.JSONVersion,
		Target: in.Metadata.TargetPrefix, Signing: signing, Namespace: in.Metadata.XMLNamespace}
	if head.Protocol != JSON {
		head.JSONVersion = ""
	}
	text, err := json.Marshal(head)
	if err != nil {
		return nil, err
	}
	text = bytes.TrimSuffix(text, []byte(`,"operations":{},"shapes":{}}`))
	b.Write(text)
	for _, part := range []struct {
		name string
		all  map[string]any
	}{{"operations", operations}, {"shapes", shapes}} {
		fmt.Fprintf(&b, ",\n%q:{", part.name)
		names := make([]string, 0, len(part.all))
		for name := range part.all {
			names = append(names, name)
		}
		slices.Sort(names)
		for i, name := range names {
			line, err := json.Marshal(part.all[name])
			if err != nil {
				return nil, err
			}
			if i > 0 {
				b.WriteByte(',')
			}
			fmt.Fprintf(&b, "\n%q:%s", name, line)
		}
		b.WriteByte('}')
	}
	b.WriteString("}\n")
	return b.Bytes(), nil
}
