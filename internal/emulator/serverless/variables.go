package serverless

import (
	"slices"

	"github.com/flexvc/flexvc/internal/emulator"
	"github.com/flexvc/flexvc/internal/emulator/store"
)

type variable struct {
	store.Object
	Service     string `json:"service"`
	Environment string `json:"environment"`
	Key         string `json:"key"`
	Value       string `json:"value"`
}

var variables = store.NewKind[variable]("variable")

// What Twilio allows, in characters and in bytes.
// https://www.twilio.com/docs/serverless/api/resource/variable
const (
	maxVariableKey   = 128
	maxVariableValue = 450
)

func viewVariable(c *emulator.Call, v *variable) any {
	return c.View(v.Object, serviceURL(c, v.Service)+"/Environments/"+v.Environment+"/Variables/"+v.SID, map[string]any{
		"service_sid": v.Service, "environment_sid": v.Environment, "key": v.Key, "value": v.Value,
	}, nil)
}

func (v *variable) of(e *environment) bool { return v.Environment == e.SID }

func variableTable(c *emulator.Call) *store.Table[*variable] { return variables.In(c.Store) }

func variableInPath(c *emulator.Call) *variable {
	e, v := environmentInPath(c), variables.In(c.Store).Find(c.Vars["Sid"])
	if e == nil || v == nil || !v.of(e) {
		return nil
	}
	return v
}

// readVariable takes over what the form says of key and value.
func readVariable(c *emulator.Call, v *variable) *emulator.Reply {
	if key, given := c.Filled("Key"); given {
		v.Key = key
	}
	if value, given := c.Filled("Value"); given {
		v.Value = value
	}
	switch {
	case v.Key == "" || len(v.Key) > maxVariableKey:
		return emulator.Invalid("Key is missing or longer than %d characters", maxVariableKey)
	case len(v.Value) > maxVariableValue:
		return emulator.Invalid("Value is longer than %d bytes", maxVariableValue)
	case slices.ContainsFunc(variables.In(c.Store).Rows(), func(o *variable) bool {
		return o.Environment == v.Environment && o.Key == v.Key && o.SID != v.SID
	}):
		return emulator.Conflict("Variable with the same key exists")
	}
	return nil
}

func createVariable(c *emulator.Call) *emulator.Reply {
	e := environmentInPath(c)
	if e == nil {
		return c.NotFound()
	}
	if _, no := c.Required("Value"); no != nil {
		return no
	}
	v := &variable{Service: e.Service, Environment: e.SID}
	if no := readVariable(c, v); no != nil {
		return no
	}
	v.Object = c.New("ZV")
	return emulator.Create(c, variables.In(c.Store), v, viewVariable)
}

func deleteVariable(c *emulator.Call) *emulator.Reply {
	v := variableInPath(c)
	if v == nil {
		return c.NotFound()
	}
	return emulator.Delete(c, variables.In(c.Store), v)
}
