package testreport

import (
	"encoding/xml"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// seconds reads a duration such as 1.5 or 1,234.5.
func seconds(text string) time.Duration { return scaled(text, time.Second) }

func scaled(text string, unit time.Duration) time.Duration {
	f, err := strconv.ParseFloat(strings.ReplaceAll(strings.TrimSpace(text), ",", ""), 64)
	if err != nil || math.IsNaN(f) || f < 0 || f*float64(unit) > float64(1000*time.Hour) {
		return 0
	}
	return time.Duration(f * float64(unit))
}

// junit reads what Ant, Maven, Gradle, pytest, Jest, gotestsum and many others write.
func junit(text []byte, r *reading) error {
	var suites []string
	var c *Case
	var message string
	return walk(text, func(path []string, e xml.StartElement) error {
		switch e.Name.Local {
		case "testsuite":
			suites = append(suites, attr(e, "name"))
		case "testcase":
			c = &Case{Suite: attr(e, "classname"), Name: attr(e, "name"), Status: Succeeded, Duration: seconds(attr(e, "time"))}
			if c.Suite == "" && len(suites) > 0 {
				c.Suite = suites[len(suites)-1]
			}
			if s := attr(e, "status"); s == "notrun" || s == "disabled" || attr(e, "result") == "suppressed" {
				c.Status = Skipped
			}
		case "failure", "error", "skipped", "disabled":
			if message = attr(e, "message"); message == "" {
				message = attr(e, "type")
			}
		}
		return nil
	}, func(path []string, text string) error {
		switch name := path[len(path)-1]; name {
		case "testsuite":
			suites = suites[:len(suites)-1]
		case "testcase":
			if c != nil {
				r.add(*c)
				c = nil
			}
		case "failure", "error", "skipped", "disabled":
			status := map[string]Status{"failure": Failed, "error": Error, "skipped": Skipped, "disabled": Skipped}[name]
			if c != nil && path[len(path)-2] == "testcase" && (c.Status == Succeeded || c.Status == Skipped) {
				c.Status, c.Message = status, said(message, text)
			}
		}
		return nil
	})
}

// nunit2 reads what NUnit 2 writes.
func nunit2(text []byte, r *reading) error {
	return nunit(text, r, func(e xml.StartElement) (Case, bool) {
		name := attr(e, "name")
		c := Case{Name: name, Status: Unknown, Duration: seconds(attr(e, "time"))}
		if i := strings.LastIndexByte(before(name, "("), '.'); i >= 0 {
			c.Suite, c.Name = name[:i], name[i+1:]
		}
		switch result := attr(e, "result"); {
		case result == "Success", result == "" && attr(e, "success") == "True":
			c.Status = Succeeded
		case result == "Failure", result == "" && attr(e, "success") == "False":
			c.Status = Failed
		case result == "Error", result == "NotRunnable", result == "Invalid", result == "Cancelled":
			c.Status = Error
		case result == "Ignored", result == "Skipped", attr(e, "executed") == "False":
			c.Status = Skipped
		}
		return c, true
	})
}

// nunit3 reads what NUnit 3 writes.
func nunit3(text []byte, r *reading) error {
	return nunit(text, r, func(e xml.StartElement) (Case, bool) {
		c := Case{Suite: attr(e, "classname"), Name: attr(e, "name"), Status: Unknown, Duration: seconds(attr(e, "duration"))}
		switch attr(e, "result") {
		case "Passed", "Warning":
			c.Status = Succeeded
		case "Failed":
			c.Status = Failed
			if label := attr(e, "label"); label == "Error" || label == "Invalid" || label == "Cancelled" {
				c.Status = Error
			}
		case "Skipped":
			c.Status = Skipped
		}
		return c, true
	})
}

// nunit reads what both have alike.
func nunit(text []byte, r *reading, of func(xml.StartElement) (Case, bool)) error {
	var c *Case
	return walk(text, func(path []string, e xml.StartElement) error {
		if e.Name.Local == "test-case" {
			if one, ok := of(e); ok {
				c = &one
			}
		}
		return nil
	}, func(path []string, text string) error {
		n := len(path)
		switch path[n-1] {
		case "test-case":
			if c != nil {
				r.add(*c)
				c = nil
			}
		case "message", "stack-trace":
			if c != nil && n >= 3 && path[n-3] == "test-case" && (path[n-2] == "failure" || path[n-2] == "reason") {
				c.Message = said(c.Message, text)
			}
		}
		return nil
	})
}

func before(text, sep string) string {
	first, _, _ := strings.Cut(text, sep)
	return first
}

// testng reads what TestNG writes. Methods that only set up are no tests, unless they fail.
func testng(text []byte, r *reading) error {
	var class string
	var c *Case
	return walk(text, func(path []string, e xml.StartElement) error {
		switch e.Name.Local {
		case "class":
			class = attr(e, "name")
		case "test-method":
			c = &Case{Suite: class, Name: attr(e, "name"), Status: Unknown, Duration: scaled(attr(e, "duration-ms"), time.Millisecond)}
			switch attr(e, "status") {
			case "PASS":
				c.Status = Succeeded
			case "FAIL":
				c.Status = Failed
			case "SKIP":
				c.Status = Skipped
			}
			if attr(e, "is-config") == "true" {
				if c.Status != Failed {
					c = nil
				} else {
					c.Status = Error
				}
			}
		case "exception":
			if c != nil && c.Message == "" {
				c.Message = attr(e, "class")
			}
		}
		return nil
	}, func(path []string, text string) error {
		n := len(path)
		switch path[n-1] {
		case "test-method":
			if c != nil {
				r.add(*c)
				c = nil
			}
		case "message", "full-stacktrace":
			if c != nil && n >= 2 && path[n-2] == "exception" {
				c.Message = said(c.Message, text)
			}
		}
		return nil
	})
}

// trx reads what Visual Studio and dotnet test write. A test of several rows is its rows.
func trx(text []byte, r *reading) error {
	type open struct {
		Case
		id    string
		inner bool
	}
	var stack []open
	var cases []open
	classes := map[string]string{}
	var id string
	err := walk(text, func(path []string, e xml.StartElement) error {
		switch e.Name.Local {
		case "UnitTestResult", "TestResultAggregation", "GenericTestResult", "WebTestResult":
			if n := len(stack); n > 0 {
				stack[n-1].inner = true
			}
			stack = append(stack, open{Case: Case{Name: attr(e, "testName"), Status: trxStatus(attr(e, "outcome")), Duration: clock(attr(e, "duration"))}, id: attr(e, "testId")})
		case "UnitTest":
			id = attr(e, "id")
		case "TestMethod":
			if len(classes) < MostCases {
				classes[id] = before(attr(e, "className"), ",")
			}
		}
		return nil
	}, func(path []string, text string) error {
		n := len(path)
		switch path[n-1] {
		case "UnitTestResult", "TestResultAggregation", "GenericTestResult", "WebTestResult":
			last := stack[len(stack)-1]
			stack = stack[:len(stack)-1]
			if !last.inner && len(cases) <= MostCases*2 {
				cases = append(cases, last)
			}
		case "Message", "StackTrace":
			if n >= 2 && path[n-2] == "ErrorInfo" && len(stack) > 0 {
				top := &stack[len(stack)-1]
				top.Message = said(top.Message, text)
			}
		}
		return nil
	})
	for _, c := range cases {
		c.Suite = classes[c.id]
		if c.Suite != "" {
			c.Name = strings.TrimPrefix(c.Name, c.Suite+".")
		}
		r.add(c.Case)
	}
	return err
}

func trxStatus(outcome string) Status {
	switch outcome {
	case "Passed", "PassedButRunAborted", "Warning", "Completed":
		return Succeeded
	case "Failed":
		return Failed
	case "Error", "Timeout", "Aborted", "Disconnected":
		return Error
	case "NotExecuted", "NotRunnable":
		return Skipped
	}
	return Unknown
}

// clock reads 00:01:02.5000000, also with days before.
func clock(text string) time.Duration {
	days, rest, ok := strings.Cut(text, ".")
	if !ok || strings.Contains(days, ":") {
		days, rest = "0", text
	}
	parts := strings.Split(rest, ":")
	if len(parts) != 3 {
		return 0
	}
	d := scaled(days, 24*time.Hour)
	for i, unit := range []time.Duration{time.Hour, time.Minute, time.Second} {
		d += scaled(parts[i], unit)
	}
	return d
}

// worst is the status that counts of several.
func worst(a, b Status) Status {
	order := []Status{Succeeded, Skipped, Unknown, Error, Failed}
	if slices.Index(order, b) > slices.Index(order, a) {
		return b
	}
	return a
}
