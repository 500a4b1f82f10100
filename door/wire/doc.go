// Package wire answers AWS's own protocols, so that the aws command and every SDK work against Haechi.
//
// It knows what all services have in common: signatures, dispatch by the
// service in the credential scope, the codecs of the protocols json 1.0 and
// 1.1, rest-json and query, the checks that a service's model demands, and how
// each protocol says what went wrong. (rest-xml and rpc-v2-cbor are refused.) A
// service is a table and a map, in a package of its own below this one:
//
//	//go:embed model.json
//	var table []byte
//
//	// Service answers sts.
//	func Service(cfg Config) wire.Service {
//		s := &service{cfg}
//		return wire.Service{
//			Model: wire.MustModel(table),
//			Operations: map[string]wire.Operation{
//				"GetFindings":         wire.Op(wire.AskAll, s.getFindings),
//				"DeleteInsight":       wire.Op(s.askInsight, s.deleteInsight),
//				"BatchImportFindings": wire.Op(wire.AskAll, s.batchImport).Loose("Findings"),
//				"GetCallerIdentity":   wire.OpenOp(s.getCallerIdentity),
//			},
//			Faults: wire.Faults{
//				fault.Invalid:  {"InvalidInputException", "ValidationException"},
//				fault.NotFound: {"ResourceNotFoundException"},
//			},
//		}
//	}
//
//	type deleteInsightInput struct {
//		InsightArn string // in the path; the model says where, not the handler
//	}
//
//	func (s *service) askInsight(c *wire.Call, in *deleteInsightInput) []iam.Request {
//		return c.Ask(in.InsightArn) // securityhub:DeleteInsight on that ARN
//	}
//
//	func (s *service) deleteInsight(ctx context.Context, c *wire.Call, in *deleteInsightInput) (*deleteInsightOutput, error) {
//		if err := s.hub.DeleteInsight(ctx, in.InsightArn); err != nil {
//			return nil, err // a fault; Faults says it in the service's words
//		}
//		return &deleteInsightOutput{InsightArn: in.InsightArn}, nil
//	}
//
// What a handler may rely on: the caller is who it says and was allowed what
// asks returned; the input has every required member and meets the model's
// min, max, pattern and enum; members that are null are absent; what the model
// does not know is still there, byte for byte, for a value that keeps it; times
// are RFC 3339, whatever the protocol. The JSON names of input and output are
// those on the wire: Go's field names do where the model gives no other
// (tagKeys for TagKeys of UntagResource in securityhub: look for "as" in the table).
//
// What a handler answers: a value whose JSON has the model's members (use
// omitzero for what is absent; a time.Time becomes what the protocol writes), or
// an error: one of package fault, which Faults translates, or [Errorf] with a
// code of the model where the kind alone does not tell. An error without a kind is
// answered as an internal one, and its text goes to the log only.
//
// To add a service: a line in the tables of model_table_test.go, then
//
//	go test ./door/wire -run TestTables -update
//	go test ./door/wire/SERVICE -update     # ops.txt: which operations we answer
//
// and tests with package wiretest, which also runs the real aws commands.
package wire
