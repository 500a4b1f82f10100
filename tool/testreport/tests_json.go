package testreport

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

type cucumberResult struct {
	Status   string  `json:"status"`
	Duration float64 `json:"duration"` // nanoseconds
	Message  string  `json:"error_message"`
}

type cucumberStep struct {
	Keyword string         `json:"keyword"`
	Name    string         `json:"name"`
	Result  cucumberResult `json:"result"`
}

type cucumberFeature struct {
	Name     string `json:"name"`
	URI      string `json:"uri"`
	Elements []struct {
		Name   string         `json:"name"`
		Type   string         `json:"type"`
		Steps  []cucumberStep `json:"steps"`
		Before []cucumberStep `json:"before"`
		After  []cucumberStep `json:"after"`
	} `json:"elements"`
}

// loose is how strangers' JSON is read: what is said twice counts as it was said last, what is no text is a mark.
func loose() json.Options {
	return json.JoinOptions(jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
}

// cucumber reads what Cucumber and its kin write. A scenario is a case; the
// background that stands before it is part of it.
func cucumber(text []byte, r *reading) error {
	d := jsontext.NewDecoder(bytes.NewReader(text), loose())
	if t, err := d.ReadToken(); err != nil || t.Kind() != '[' {
		return errors.Join(err, errors.New("it is no list of features"))
	}
	for d.PeekKind() != ']' {
		var f cucumberFeature
		if err := json.UnmarshalDecode(d, &f, loose()); err != nil {
			return err
		}
		suite := f.Name
		if suite == "" {
			suite = f.URI
		}
		var before []cucumberStep
		for _, e := range f.Elements {
			steps := append(append(append(before, e.Before...), e.Steps...), e.After...)
			if e.Type == "background" {
				before = steps
				continue
			}
			before = nil
			r.add(scenario(suite, e.Name, steps))
		}
	}
	_, err := d.ReadToken()
	return err
}

func scenario(suite, name string, steps []cucumberStep) Case {
	c := Case{Suite: suite, Name: name, Status: Succeeded}
	if len(steps) == 0 {
		c.Status = Unknown
	}
	for _, s := range steps {
		status := Unknown
		switch strings.ToLower(s.Result.Status) {
		case "passed":
			status = Succeeded
		case "failed":
			status = Failed
		case "ambiguous", "undefined":
			status = Error
		case "skipped", "pending":
			status = Skipped
		}
		if s.Result.Duration > 0 && s.Result.Duration < float64(1000*time.Hour) {
			c.Duration += time.Duration(s.Result.Duration)
		}
		if (status == Failed || status == Error) && c.Message == "" {
			c.Message = said(strings.TrimSpace(s.Keyword+s.Name), s.Result.Message)
		}
		c.Status = worst(c.Status, status)
	}
	return c
}

// goTest reads what go test -json writes. A package that fails without a test
// that does, such as one that does not compile, is a case of its own.
func goTest(text []byte, r *reading) error {
	type key struct{ pkg, test string }
	said, failed := map[key]string{}, map[string]bool{}
	kept := 0
	d := jsontext.NewDecoder(bytes.NewReader(text), loose())
	for {
		var e struct {
			Action, Package, ImportPath, Test, Output string
			Elapsed                                   float64
		}
		switch err := json.UnmarshalDecode(d, &e, loose()); {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		case e.Action == "":
			return errors.New("a line has no Action")
		}
		k := key{e.Package, e.Test}
		if e.Package == "" {
			k.pkg = e.ImportPath
		}
		status := map[string]Status{"pass": Succeeded, "fail": Failed, "skip": Skipped, "build-fail": Error}[e.Action]
		switch {
		case e.Action == "output" || e.Action == "build-output":
			if frame(e.Output) || len(said[k]) > mostText || kept > 64<<20 {
				continue
			}
			said[k] += e.Output
			kept += len(e.Output)
			continue
		case status == "":
			continue
		}
		c := Case{Suite: k.pkg, Name: e.Test, Status: status, Duration: scaledFloat(e.Elapsed)}
		if status == Failed || status == Error {
			failed[k.pkg] = failed[k.pkg] || e.Test != ""
		}
		if status != Succeeded {
			c.Message = said[k]
		}
		delete(said, k)
		switch {
		case e.Test != "":
		case (status == Failed || status == Error) && !failed[k.pkg]:
			c.Name, c.Status = "(package)", Error
		default:
			continue
		}
		r.add(c)
	}
}

func scaledFloat(seconds float64) time.Duration {
	if seconds < 0 || seconds > 1e6 {
		return 0
	}
	return time.Duration(seconds * float64(time.Second))
}

// frame tells whether go test says no more than that a test begins or goes on.
func frame(line string) bool {
	for _, p := range []string{"=== RUN", "=== PAUSE", "=== CONT", "=== NAME"} {
		if strings.HasPrefix(line, p) {
			return true
		}
	}
	return false
}
