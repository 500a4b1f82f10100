package wire_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/haechi-dev/haechi/door/wire"
	"github.com/haechi-dev/haechi/door/wire/wiretest"
	"github.com/haechi-dev/haechi/word/fault"
)

// boto3 reads answers as typed values, and raises each error as the class that the model has for it.
func TestBoto3(t *testing.T) {
	type archive struct{ CreationTime time.Time }
	s := wiretest.Serve(t, wiretest.Options{},
		service(t, "events", map[string]wire.Operation{
			"DescribeRule": wire.Op(wire.AskAll, func(context.Context, *wire.Call, *struct{}) (*struct{}, error) {
				return nil, fault.NotFound.Errorf("Rule x does not exist on EventBus default.")
			}),
			"TestEventPattern": wire.Op(wire.AskAll, func(context.Context, *wire.Call, *struct{}) (*struct{}, error) {
				return nil, wire.Errorf("InvalidEventPatternException", "Event pattern is not valid.")
			}),
			"DescribeArchive": wire.Op(wire.AskAll, func(context.Context, *wire.Call, *struct{}) (*archive, error) {
				return &archive{time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)}, nil
			}),
			"PutPermission": wire.Op(wire.AskAll, func(context.Context, *wire.Call, *struct{}) (*struct{}, error) { return nil, nil }),
		}),
		service(t, "securityhub", map[string]wire.Operation{
			"DescribeHub": wire.Op(wire.AskAll, func(context.Context, *wire.Call, *struct{}) (*struct{}, error) {
				return nil, fault.NotFound.Errorf("not subscribed")
			}),
			"CreateInsight": wire.Op(wire.AskAll, func(context.Context, *wire.Call, *struct{}) (*struct{}, error) { return nil, nil }),
		}))
	out, problems, err := s.Python(t, `
def raised(call, **kw):
    try: call(**kw)
    except Exception as e: print(type(e).__name__, e.response['ResponseMetadata']['HTTPStatusCode'], len(e.response['ResponseMetadata']['RequestId']) > 0, e.response['Error']['Message'])
    else: print('nothing raised')
e, h, k = client('events'), client('securityhub'), client('kms')
raised(e.describe_rule, Name='x')
raised(e.test_event_pattern, EventPattern='{', Event='{}')
raised(e.list_rules)
print(e.describe_archive(ArchiveName='a')['CreationTime'].isoformat())
print(e.put_permission(StatementId='s', Action='events:PutEvents', Principal='*')['ResponseMetadata']['HTTPStatusCode'])
raised(h.describe_hub)
raised(h.create_insight, Name='n', Filters={}, GroupByAttribute=' ')
raised(h.list_members)
raised(k.list_keys)
`)
	if err != nil {
		t.Fatalf("%v %s", err, problems)
	}
	want := []string{
		"ResourceNotFoundException 400 True Rule x does not exist on EventBus default.",
		"InvalidEventPatternException 400 True Event pattern is not valid.",
		"ClientError 501 True ListRules of events is not answered here",
		"2026-01-01T00:00:00+00:00",
		"200",
		"ResourceNotFoundException 404 True not subscribed",
		"InvalidInputException 400 True 1 validation error detected: Value at 'GroupByAttribute'",
		"ClientError 501 True ListMembers of securityhub is not answered here",
		"ClientError 501 True the service \"kms\" is not answered here",
	}
	got := strings.Split(strings.TrimSpace(out), "\n")
	for i, w := range want {
		if i >= len(got) || !strings.HasPrefix(got[i], w) {
			t.Errorf("line %d: %q, want %q", i, got[min(i, len(got)-1)], w)
		}
	}
}
