// Answers an extension's request for a voice token.
exports.handler = (context, event, callback) => {
  const response = new Twilio.Response();
  response.setStatusCode(501);
  response.appendHeader('Content-Type', 'application/problem+json');
  response.setBody(JSON.stringify({ status: 501, title: 'Not Implemented', code: 'not-implemented' }));
  callback(null, response);
};
