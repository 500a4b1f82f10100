// Package sts answers who is calling.
package sts

import (
	"context"
	_ "embed"

	"github.com/haechi-dev/haechi/door/wire"
	"github.com/haechi-dev/haechi/word/fault"
)

//go:embed model.json
var table []byte

// Service answers what of sts needs no state: GetCallerIdentity, which is
// allowed to everybody whom we know, whatever their policies say.
func Service() wire.Service {
	return wire.Service{
		Model:      wire.MustModel(table),
		Operations: map[string]wire.Operation{"GetCallerIdentity": wire.OpenOp(getCallerIdentity)},
		Faults:     wire.Faults{fault.Invalid: {"ValidationError"}},
	}
}

type callerIdentity struct {
	UserID  string `json:"UserId"`
	Account string
	ARN     string `json:"Arn"`
}

func getCallerIdentity(_ context.Context, c *wire.Call, _ *struct{}) (*callerIdentity, error) {
	return &callerIdentity{UserID: c.Principal.ID, Account: c.Principal.Account, ARN: c.Principal.ARN}, nil
}
