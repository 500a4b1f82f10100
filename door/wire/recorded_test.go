package wire

import (
	"strings"
	"testing"

	"github.com/haechi-dev/haechi/base/sigv4"
	"github.com/haechi-dev/haechi/base/sigv4/sigv4test"
)

// Every recorded call of the services that we speak is read as the operation
// that was called, and meets what its model demands.
func TestRecordedCallsAreRead(t *testing.T) {
	models := map[string]*Model{}
	for _, table := range tables {
		models[table[0]] = tableOf(t, table[0])
	}
	read := 0
	for _, recording := range sigv4test.Recordings(t) {
		r, err := recording.Request()
		if err != nil {
			t.Fatal(err)
		}
		service, want := calledFor(recording.Name)
		m := models[service]
		if m == nil {
			continue
		}
		if c, err := sigv4.Parse(r); err == nil && c.Service != m.Signing {
			t.Errorf("%s: signed for %s", recording.Name, c.Service)
		}
		x := &exchange{Handler: &Handler{cfg: Config{Limits: Limits{}.orDefaults()}}, r: r, service: &Service{Model: m}}
		input, failed := x.dispatch(recording.Body)
		if failed != nil {
			t.Errorf("%s/%s: %v", recording.Client, recording.Name, failed)
			continue
		}
		if !strings.EqualFold(x.call.Operation, want) {
			t.Errorf("%s/%s: read as %s", recording.Client, recording.Name, x.call.Operation)
		}
		w := walk{model: m, limits: x.cfg.Limits, way: inward}
		if _, err := w.do(m.Operations[x.call.Operation].Input, input); err != nil || len(w.problems) > 0 {
			t.Errorf("%s/%s: %v %v\n%s", recording.Client, recording.Name, err, w.problems, input)
		}
		read++
	}
	if read < 80 {
		t.Errorf("only %d recorded calls were read", read)
	}
}

// calledFor takes a recording's name apart: securityhub.get-findings of the
// aws command, securityhub-get-findings of the SDKs.
func calledFor(name string) (service, operation string) {
	service, operation, ok := strings.Cut(name, ".")
	if !ok {
		service, operation, _ = strings.Cut(name, "-")
	}
	operation, _, _ = strings.Cut(operation, ".")
	operation = strings.ReplaceAll(operation, "-", "")
	switch operation {
	case "assumerolewebidentity":
		operation = "AssumeRoleWithWebIdentity"
	case "getloginpassword": // what the command makes of another operation's answer
		operation = "GetAuthorizationToken"
	}
	return service, operation
}
