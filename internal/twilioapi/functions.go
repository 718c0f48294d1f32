package twilioapi

import (
	"context"

	serverless "github.com/twilio/twilio-go/rest/serverless/v1"

	"github.com/flexvc/flexvc/internal/twilio"
)

// CreateFunctionService makes a service whose Functions are not given the
// account's auth token, which is what Twilio does otherwise, and whose code the
// Console does not edit.
func (c *Client) CreateFunctionService(ctx context.Context, uniqueName, friendlyName string) (twilio.Service, error) {
	o := op{what: "create Serverless service " + printable(uniqueName) + " of " + twilio.Short(c.account), repeat: never}
	params := (&serverless.CreateServiceParams{}).SetUniqueName(uniqueName).SetFriendlyName(friendlyName).SetIncludeCredentials(false).SetUiEditable(false)
	s, err := c.serverless(ctx, o).CreateService(params)
	if err != nil {
		return twilio.Service{}, c.problem(ctx, o, err)
	}
	return service(s), nil
}

// WithholdCredentials has a service give its Functions no auth token any more.
func (c *Client) WithholdCredentials(ctx context.Context, serviceSID string) error {
	o := op{what: "change Serverless service " + twilio.Short(serviceSID), repeat: always}
	if err := checkSID("ZS", serviceSID); err != nil {
		return err
	}
	_, err := c.serverless(ctx, o).UpdateService(serviceSID, (&serverless.UpdateServiceParams{}).SetIncludeCredentials(false))
	return c.problem(ctx, o, err)
}

// Functions lists the Functions of a service.
func (c *Client) Functions(ctx context.Context, serviceSID string) ([]twilio.Function, error) {
	o := op{what: "list the functions of " + twilio.Short(serviceSID), repeat: always}
	if err := checkSID("ZS", serviceSID); err != nil {
		return nil, err
	}
	return list(ctx, c, o, serverlessURL+"/v1/Services/"+serviceSID+"/Functions", "functions",
		func(f *serverless.ServerlessV1Function) twilio.Function { return function(f) })
}

// CreateFunction makes a Function, which has no code yet. Names are not unique, so
// it is never repeated.
func (c *Client) CreateFunction(ctx context.Context, serviceSID, friendlyName string) (twilio.Function, error) {
	o := op{what: "create function " + printable(friendlyName) + " of " + twilio.Short(serviceSID), repeat: never}
	if err := checkSID("ZS", serviceSID); err != nil {
		return twilio.Function{}, err
	}
	f, err := c.serverless(ctx, o).CreateFunction(serviceSID, (&serverless.CreateFunctionParams{}).SetFriendlyName(friendlyName))
	if err != nil {
		return twilio.Function{}, c.problem(ctx, o, err)
	}
	return function(f), nil
}

func function(f *serverless.ServerlessV1Function) twilio.Function {
	return twilio.Function{SID: value(f.Sid), FriendlyName: value(f.FriendlyName)}
}

// FunctionVersions lists the SIDs, ZN…, of what was uploaded for a Function.
func (c *Client) FunctionVersions(ctx context.Context, serviceSID, functionSID string) ([]string, error) {
	o := op{what: "list the versions of function " + twilio.Short(functionSID), repeat: always}
	if err := c.checkAsset(serviceSID, functionSID); err != nil {
		return nil, err
	}
	return list(ctx, c, o, serverlessURL+"/v1/Services/"+serviceSID+"/Functions/"+functionSID+"/Versions", "function_versions",
		func(v *serverless.ServerlessV1FunctionVersion) string { return value(v.Sid) })
}

// UploadFunction stores code that answers everybody's requests at a path, and
// returns its SID, ZN….
// https://www.twilio.com/docs/serverless/api/resource/function-version
func (c *Client) UploadFunction(ctx context.Context, serviceSID, functionSID, path string, content []byte) (string, error) {
	o := op{what: "upload " + printable(path) + " to " + twilio.Short(serviceSID), repeat: never}
	if err := c.checkAsset(serviceSID, functionSID); err != nil {
		return "", err
	}
	var v serverless.ServerlessV1FunctionVersion
	body, contentType := scriptForm(path, "public", "function.js", content)
	err := c.upload(ctx, o, "/v1/Services/"+serviceSID+"/Functions/"+functionSID+"/Versions", body, contentType, &v)
	return value(v.Sid), err
}

// FunctionContent reads the code of a version.
// https://www.twilio.com/docs/serverless/api/resource/function-version
func (c *Client) FunctionContent(ctx context.Context, serviceSID, functionSID, versionSID string) (string, error) {
	o := op{what: "read version " + twilio.Short(versionSID) + " of function " + twilio.Short(functionSID), repeat: always}
	if err := c.checkAsset(serviceSID, functionSID); err != nil {
		return "", err
	}
	if err := checkSID("ZN", versionSID); err != nil {
		return "", err
	}
	content, err := c.serverless(ctx, o).FetchFunctionVersionContent(serviceSID, functionSID, versionSID)
	if err != nil {
		return "", c.problem(ctx, o, err)
	}
	return value(content.Content), nil
}

// DeployFunction puts a completed build into an environment. Doing so twice
// changes nothing.
func (c *Client) DeployFunction(ctx context.Context, serviceSID, environmentSID, buildSID string) error {
	return c.deploy(ctx, serviceSID, environmentSID, buildSID, false)
}

// Variables lists what an environment gives to its Functions, with the values:
// some are secrets.
// https://www.twilio.com/docs/serverless/api/resource/variable
func (c *Client) Variables(ctx context.Context, serviceSID, environmentSID string) ([]twilio.Variable, error) {
	o := op{what: "list the variables of " + twilio.Short(environmentSID), repeat: always}
	if err := checkEnvironment(serviceSID, environmentSID); err != nil {
		return nil, err
	}
	return list(ctx, c, o, serverlessURL+"/v1/Services/"+serviceSID+"/Environments/"+environmentSID+"/Variables", "variables", variable)
}

// CreateVariable sets a variable that is not there. A key occurs once in an
// environment; it is not repeated all the same, as the answer would then be a
// conflict.
func (c *Client) CreateVariable(ctx context.Context, serviceSID, environmentSID, key, text string) (twilio.Variable, error) {
	o := op{what: "create variable " + printable(key) + " of " + twilio.Short(environmentSID), repeat: never}
	if err := checkEnvironment(serviceSID, environmentSID); err != nil {
		return twilio.Variable{}, err
	}
	v, err := c.serverless(ctx, o).CreateVariable(serviceSID, environmentSID, (&serverless.CreateVariableParams{}).SetKey(key).SetValue(text))
	if err != nil {
		return twilio.Variable{}, c.problem(ctx, o, err)
	}
	return variable(v), nil
}

// UpdateVariable gives a variable another value, which applies from the next
// invocation on, without a deployment.
// https://www.twilio.com/docs/serverless/functions-assets/functions/variables
func (c *Client) UpdateVariable(ctx context.Context, serviceSID, environmentSID, sid, text string) error {
	o := op{what: "change variable " + twilio.Short(sid) + " of " + twilio.Short(environmentSID), repeat: always}
	if err := checkVariable(serviceSID, environmentSID, sid); err != nil {
		return err
	}
	_, err := c.serverless(ctx, o).UpdateVariable(serviceSID, environmentSID, sid, (&serverless.UpdateVariableParams{}).SetValue(text))
	return c.problem(ctx, o, err)
}

// DeleteVariable removes a variable.
func (c *Client) DeleteVariable(ctx context.Context, serviceSID, environmentSID, sid string) error {
	o := op{what: "delete variable " + twilio.Short(sid) + " of " + twilio.Short(environmentSID), repeat: always}
	if err := checkVariable(serviceSID, environmentSID, sid); err != nil {
		return err
	}
	return c.problem(ctx, o, c.serverless(ctx, o).DeleteVariable(serviceSID, environmentSID, sid))
}

func checkEnvironment(serviceSID, environmentSID string) error {
	if err := checkSID("ZS", serviceSID); err != nil {
		return err
	}
	return checkSID("ZE", environmentSID)
}

func checkVariable(serviceSID, environmentSID, sid string) error {
	if err := checkEnvironment(serviceSID, environmentSID); err != nil {
		return err
	}
	return checkSID("ZV", sid)
}

func variable(v *serverless.ServerlessV1Variable) twilio.Variable {
	return twilio.Variable{SID: value(v.Sid), Key: value(v.Key), Value: value(v.Value), Updated: value(v.DateUpdated)}
}
