/** A copy of the picture in the element, to stay behind the message that says why there is no new one; null where there is none. */
export function keepPicture(element) {
  const picture = element.querySelector('canvas');
  if (picture === null || picture.width === 0) return null;
  const copy = document.createElement('canvas');
  copy.className = 'last-picture';
  copy.width = picture.width;
  copy.height = picture.height;
  copy.getContext('2d').drawImage(picture, 0, 0);
  return copy;
}
